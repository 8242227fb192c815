//! Numbers as hexadecimal digits, without what formatting costs.

/// All sixteen digits, in lower case.
pub(crate) fn hex_digits(number: u64) -> [u8; 16] {
    std::array::from_fn(|at| b"0123456789abcdef"[(number >> (60 - 4 * at) & 0xf) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_formatting() {
        for number in [0, 1, 0xabc, u64::MAX, 0x0123_4567_89ab_cdef] {
            assert_eq!(hex_digits(number), format!("{number:016x}").as_bytes());
        }
    }
}
