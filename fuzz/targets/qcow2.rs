#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| ploopconv_fuzz::qcow2::try_input(input));
