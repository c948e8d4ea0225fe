#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| ploopconv_fuzz::files::try_journal(input));
