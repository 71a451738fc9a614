//! `socketcall`, by which 32-bit programs may make every call about sockets: older C libraries and Go know no other way.

use crate::read;

/// A call that it can be told to make.
#[derive(Clone, Copy)]
struct Made {
    /// The number by which the same call is made directly; 0 where there is none.
    nr: u16,
    /// How many words it is given.
    words: u16,
}

const NONE: Made = Made { nr: 0, words: 0 };

const fn made(nr: u16, words: u16) -> Made {
    Made { nr, words }
}

/// By the numbers of include/uapi/linux/net.h, with the words of `nargs` in net/socket.c. `accept`, `send` and `recv`, of
/// which the table of 32-bit calls has none, are others with zeros for what they lack.
#[rustfmt::skip]
static CALLS: [Made; 32] = [
    NONE,
    made(359, 3), // socket
    made(361, 3), // bind
    made(362, 3), // connect
    made(363, 2), // listen
    made(364, 3), // accept4
    made(367, 3), // getsockname
    made(368, 3), // getpeername
    made(360, 4), // socketpair
    made(369, 4), // sendto
    made(371, 4), // recvfrom
    made(369, 6), // sendto
    made(371, 6), // recvfrom
    made(373, 2), // shutdown
    made(366, 5), // setsockopt
    made(365, 5), // getsockopt
    made(370, 3), // sendmsg
    made(372, 3), // recvmsg
    made(364, 4), // accept4
    made(337, 5), // recvmmsg
    made(345, 4), // sendmmsg
    NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE,
];

/// The call that a `socketcall` with these registers makes: its number, and its arguments as it would have them in
/// registers. None where there is no such call, or the words cannot be read.
#[inline(always)]
pub fn unfold([call, array, ..]: [u32; 6]) -> Option<(i32, [u32; 6])> {
    // Looked up before the number is compared, or the compiler would leave out the mask that the verifier has to see.
    let at = call as usize & (CALLS.len() - 1);
    // SAFETY: bounded above; volatile as in `maps::load`.
    let made = unsafe { (&raw const CALLS).cast::<Made>().add(at).read_volatile() };
    if call as usize >= CALLS.len() || made.nr == 0 {
        return None;
    }
    // Two in each, with room for as many as the mask allows.
    let mut words = [0u64; 4];
    let len = u32::from(made.words & 7) * size_of::<u32>() as u32;
    if !read::user_into(&mut words, len, u64::from(array)) {
        return None;
    }
    let [ab, cd, ef, _] = words;
    let halves = [ab, ab >> 32, cd, cd >> 32, ef, ef >> 32];
    Some((i32::from(made.nr), halves.map(|half| half as u32)))
}
