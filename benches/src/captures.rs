//! Captures of other tools, made larger.

/// Between the copies, so that time goes on.
const STEP_NS: u64 = 10_000_000_000;

/// A `.scap` capture with its lists once and its events so many times, each time later; and how many events that are.
pub fn multiply(sample: &[u8], times: u64) -> (Vec<u8>, u64) {
    let (mut lists, mut events) = (Vec::new(), Vec::new());
    let mut rest = sample;
    while let Some(head) = rest.get(..8) {
        let number = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"));
        let (block, after) = rest.split_at(number(4) as usize);
        rest = after;
        if (0x216..=0x217).contains(&number(0)) || number(0) == 0x204 || number(0) == 0x208 {
            events.push(block);
        } else {
            lists.extend_from_slice(block);
        }
    }
    let mut out = lists;
    for copy in 0..times {
        for block in &events {
            let flags = matches!(block[0], 0x08 | 0x17);
            // Behind type, length, CPU and flags.
            let at = out.len() + 8 + 2 + if flags { 4 } else { 0 };
            out.extend_from_slice(block);
            let ts = u64::from_le_bytes(out[at..at + 8].try_into().expect("eight bytes"));
            out[at..at + 8].copy_from_slice(&(ts + copy * STEP_NS).to_le_bytes());
        }
    }
    (out, times * events.len() as u64)
}
