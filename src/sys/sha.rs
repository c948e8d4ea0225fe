//! SHA-256 of several messages at a time, with the processor's SHA instructions.
//!
//! One message cannot keep them busy, because each step waits for the one before it. The steps of
//! four messages beside each other do: four take little longer than two one after the other.

/// The digests of four messages of one length, a multiple of 64 bytes; `None` where the processor
/// cannot do that, or the lengths are other ones.
#[cfg(target_arch = "x86_64")]
pub(crate) fn sha256_of_four(messages: [&[u8]; 4]) -> Option<[[u8; 32]; 4]> {
    let len = messages[0].len();
    let fit = len.is_multiple_of(x86::BLOCK) && messages.iter().all(|message| message.len() == len);
    let has_sha = std::arch::is_x86_feature_detected!("sha")
        && std::arch::is_x86_feature_detected!("ssse3")
        && std::arch::is_x86_feature_detected!("sse4.1");
    // SAFETY: the processor has the instructions that the function is compiled for; it is safe
    // otherwise.
    (fit && has_sha).then(|| unsafe { x86::digests(messages) })
}

/// No other processor's instructions are used yet.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn sha256_of_four(_messages: [&[u8]; 4]) -> Option<[[u8; 32]; 4]> {
    None
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_set_epi32, _mm_set_epi64x,
        _mm_setzero_si128, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32,
        _mm_shuffle_epi8, _mm_shuffle_epi32,
    };

    /// Bytes that SHA-256 takes at a time.
    pub(super) const BLOCK: usize = 64;

    /// The constants of the 64 rounds, FIPS 180-4, 4.2.2.
    const ROUNDS: [[u32; 4]; 16] = [
        [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
        [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
        [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
        [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
        [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
        [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
        [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
        [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
        [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
        [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
        [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
        [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
        [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
        [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
        [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
        [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
    ];

    /// The state of a message in the order that the instructions want: A, B, E, F and C, D, G, H,
    /// each from the highest word down.
    #[derive(Clone, Copy)]
    struct State {
        abef: __m128i,
        cdgh: __m128i,
    }

    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    pub(super) fn digests(messages: [&[u8]; 4]) -> [[u8; 32]; 4] {
        // FIPS 180-4, 5.3.3.
        let start = State {
            abef: vector([0x9b05_688c, 0x510e_527f, 0xbb67_ae85, 0x6a09_e667]),
            cdgh: vector([0x5be0_cd19, 0x1f83_d9ab, 0xa54f_f53a, 0x3c6e_f372]),
        };
        let mut states = [start; 4];
        let [a, b, c, d] = messages.map(|message| message.as_chunks::<BLOCK>().0);
        for (((a, b), c), d) in a.iter().zip(b).zip(c).zip(d) {
            compress(&mut states, [a, b, c, d]);
        }
        // All messages end alike: a bit, zeros, and the length in bits.
        let mut last = [0; BLOCK];
        last[0] = 0x80;
        let bits = messages[0].len() as u64 * 8;
        last[56..].copy_from_slice(&bits.to_be_bytes());
        compress(&mut states, [&last; 4]);
        states.map(|state| digest(state))
    }

    /// Takes one block of each message.
    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    fn compress(states: &mut [State; 4], blocks: [&[u8; BLOCK]; 4]) {
        let mut words = [[_mm_setzero_si128(); 4]; 4];
        for (words, block) in words.iter_mut().zip(blocks) {
            for (word, bytes) in words.iter_mut().zip(block.as_chunks::<16>().0) {
                *word = big_endian(*bytes);
            }
        }
        let mut now = *states;
        let [rest @ .., last] = ROUNDS.as_chunks::<4>().0 else {
            return;
        };
        // Written out, so that all words stay in the places that the compiler gives them.
        for [a, b, c, d] in rest {
            turn::<0, true>(&mut now, &mut words, *a);
            turn::<1, true>(&mut now, &mut words, *b);
            turn::<2, true>(&mut now, &mut words, *c);
            turn::<3, true>(&mut now, &mut words, *d);
        }
        let [a, b, c, d] = last;
        turn::<0, false>(&mut now, &mut words, *a);
        turn::<1, false>(&mut now, &mut words, *b);
        turn::<2, false>(&mut now, &mut words, *c);
        turn::<3, false>(&mut now, &mut words, *d);
        for (state, now) in states.iter_mut().zip(now) {
            state.abef = _mm_add_epi32(state.abef, now.abef);
            state.cdgh = _mm_add_epi32(state.cdgh, now.cdgh);
        }
    }

    /// Four rounds of each message with the words at `AT`, which become those of sixteen rounds
    /// further on, where there are `MORE`.
    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    #[inline]
    fn turn<const AT: usize, const MORE: bool>(
        states: &mut [State; 4],
        words: &mut [[__m128i; 4]; 4],
        constants: [u32; 4],
    ) {
        let constants = vector(constants);
        for (state, words) in states.iter_mut().zip(words) {
            // Two rounds an instruction.
            let sum = _mm_add_epi32(words[AT], constants);
            state.cdgh = _mm_sha256rnds2_epu32(state.cdgh, state.abef, sum);
            let high = _mm_shuffle_epi32::<0x0e>(sum);
            state.abef = _mm_sha256rnds2_epu32(state.abef, state.cdgh, high);
            if MORE {
                let [second, third, last] = [1, 2, 3].map(|step| words[(AT + step) % 4]);
                let sum = _mm_add_epi32(
                    _mm_sha256msg1_epu32(words[AT], second),
                    _mm_alignr_epi8::<4>(last, third),
                );
                words[AT] = _mm_sha256msg2_epu32(sum, last);
            }
        }
    }

    /// Four words, the lowest first.
    #[target_feature(enable = "sse2")]
    #[inline]
    fn vector(words: [u32; 4]) -> __m128i {
        let [a, b, c, d] = words.map(u32::cast_signed);
        _mm_set_epi32(d, c, b, a)
    }

    /// Four big-endian words of a message, the lowest first.
    #[target_feature(enable = "ssse3")]
    #[inline]
    fn big_endian(bytes: [u8; 16]) -> __m128i {
        let mut halves = [0; 2];
        for (half, bytes) in halves.iter_mut().zip(bytes.as_chunks().0) {
            *half = i64::from_le_bytes(*bytes);
        }
        let [low, high] = halves;
        let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
        _mm_shuffle_epi8(_mm_set_epi64x(high, low), swap)
    }

    #[target_feature(enable = "sse4.1")]
    fn digest(State { abef, cdgh }: State) -> [u8; 32] {
        let words = [
            _mm_extract_epi32::<3>(abef),
            _mm_extract_epi32::<2>(abef),
            _mm_extract_epi32::<3>(cdgh),
            _mm_extract_epi32::<2>(cdgh),
            _mm_extract_epi32::<1>(abef),
            _mm_extract_epi32::<0>(abef),
            _mm_extract_epi32::<1>(cdgh),
            _mm_extract_epi32::<0>(cdgh),
        ];
        let mut bytes = [0; 32];
        for (place, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *place = word.to_be_bytes();
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn four_digests_are_those_of_each_message_alone() {
        for len in [0, 64, 128, 4096, 65536] {
            let messages: [Vec<u8>; 4] = std::array::from_fn(|lane| {
                let byte = |at: usize| (at * (2 * lane + 3) + at / 251) as u8;
                (0..len).map(byte).collect()
            });
            let found = sha256_of_four(messages.each_ref().map(Vec::as_slice));
            if cfg!(target_arch = "x86_64") && std::arch::is_x86_feature_detected!("sha") {
                let expected = messages
                    .each_ref()
                    .map(|message| Sha256::digest(message).into());
                assert_eq!(found, Some(expected), "{len} bytes");
            }
        }
    }

    #[test]
    fn messages_of_other_lengths_are_left_to_others() {
        assert_eq!(
            sha256_of_four([&[0; 64], &[0; 64], &[0; 64], &[0; 128]]),
            None
        );
        assert_eq!(sha256_of_four([&[0; 65]; 4]), None);
    }
}
