#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| ploopconv_fuzz::ext4::try_input(input));
