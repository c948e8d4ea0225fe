#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| ploopconv_fuzz::descriptor::try_input(input));
