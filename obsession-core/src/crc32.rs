//! CRC-32 as in ISO 3309 and IEEE 802.3 (reflected polynomial `EDB88320`), sixteen bytes a step.

const STEP: usize = 16;

/// The checksum of the parts, one after the other.
pub(crate) fn crc32(parts: &[&[u8]]) -> u32 {
    !parts.iter().fold(!0, |crc, part| update(crc, part))
}

fn update(mut crc: u32, bytes: &[u8]) -> u32 {
    let (steps, rest) = bytes.as_chunks::<STEP>();
    for step in steps {
        let (words, _) = step.as_chunks::<8>();
        let [first, second] = words else { continue };
        // The second word does not wait for the checksum so far.
        let second = word(u64::from_le_bytes(*second), 0);
        crc = word(u64::from_le_bytes(*first) ^ u64::from(crc), 8) ^ second;
    }
    rest.iter().fold(crc, |crc, byte| {
        let [low, ..] = crc.to_le_bytes();
        (crc >> 8) ^ TABLES[0][usize::from(low ^ byte)]
    })
}

/// What eight bytes do to the checksum after `more` bytes.
#[inline]
#[allow(clippy::many_single_char_names, reason = "eight bytes, in order")]
fn word(word: u64, more: usize) -> u32 {
    let [a, b, c, d, e, f, g, h] = word.to_le_bytes().map(usize::from);
    let table = |n: usize| &TABLES[more + n];
    table(7)[a]
        ^ table(6)[b]
        ^ table(5)[c]
        ^ table(4)[d]
        ^ table(3)[e]
        ^ table(2)[f]
        ^ table(1)[g]
        ^ table(0)[h]
}

/// `TABLES[n][b]` is what byte `b` does to the checksum after `n` more bytes.
static TABLES: [[u32; 256]; STEP] = {
    let mut tables = [[0; 256]; STEP];
    let mut byte = 0;
    while byte < 256 {
        #[allow(clippy::cast_possible_truncation, reason = "the index is below 256")]
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut n = 1;
    while n < STEP {
        let mut byte = 0;
        while byte < 256 {
            let before: u32 = tables[n - 1][byte];
            tables[n][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        n += 1;
    }
    tables
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_standard() {
        assert_eq!(crc32(&[b"123456789"]), 0xcbf4_3926);
        assert_eq!(crc32(&[]), 0);
    }

    #[test]
    fn parts_and_steps_make_no_difference() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let bytewise = !bytes.iter().fold(!0, |crc, byte| update(crc, &[*byte]));
        for cut in 0..bytes.len() {
            assert_eq!(crc32(&[&bytes[..cut], &bytes[cut..]]), bytewise);
        }
    }
}
