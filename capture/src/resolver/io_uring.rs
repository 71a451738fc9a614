//! Requests of io_uring: joins what was submitted with what came of it, and tells each result as the syscall that does the
//! same.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use ctrace_trace::event::{Arg, Event, EventType};
use ctrace_trace::fd::{FdEntry, Role};
use ctrace_wire::record::{
    FLAG_COMPAT, FLAG_UNTRUE, Header, IO_FIXED_FILE, IO_MULTISHOT, IoComplete, IoSubmit, Syscall,
};
use hashbrown::HashMap;

use super::action::Action;
use super::call::Call;
use super::clock::Clock;
use super::{Resolver, Sink, bare};
use crate::syscall::{INSTALL, SyscallView, View, complete_call_of};

/// Most requests that wait for their end, and most that stay. One that waits longer than so many newer ones is told without
/// a result.
const MAX_WAITING: usize = 4096;

/// `IORING_OP_CLOSE`, which closes a descriptor or, where it names a slot, one of the ring's own files.
const CLOSE: u32 = 19;
/// -1, as a register has it.
const NO_DESCRIPTOR: u64 = u64::MAX;

/// Requests that were submitted, by the kernel's name of them.
#[derive(Debug, Default)]
pub(super) struct Requests {
    waiting: HashMap<u64, Waiting>,
    /// From the oldest on: those that have one result, and those that stay, for as long as a server may run.
    order: [VecDeque<(u64, u64)>; 2],
}

/// A submitted request.
#[derive(Clone, Debug)]
struct Waiting {
    fixed: IoSubmit,
    sections: Vec<u8>,
    /// It had a result since it was looked at last.
    is_used: bool,
}

impl Requests {
    /// Keeps a request, and gives back those that have no end: its name was given to another, or it waited too long.
    fn add(&mut self, view: &View<'_, IoSubmit>) -> [Option<Waiting>; 2] {
        let (request, ts) = (view.fixed.request, view.fixed.header.ts);
        let new = Waiting {
            fixed: *view.fixed,
            sections: view.section_bytes().to_vec(),
            is_used: false,
        };
        let order = &mut self.order[usize::from(view.fixed.flags & IO_MULTISHOT != 0)];
        order.push_back((request, ts));
        let replaced = self.waiting.insert(request, new);
        let mut oldest = None;
        while order.len() > MAX_WAITING
            && let Some((request, ts)) = order.pop_front()
        {
            // Most of the oldest have ended meanwhile.
            let Some(waiting) = self.waiting.get_mut(&request).filter(|w| w.fixed.header.ts == ts) else {
                continue;
            };
            if mem::take(&mut waiting.is_used) {
                order.push_back((request, ts));
            } else {
                oldest = self.waiting.remove(&request);
            }
        }
        [replaced, oldest]
    }

    /// What a result is of: it waits on where more of them follow. None where it was submitted before the recording began.
    fn of(&mut self, done: &IoComplete) -> Option<Waiting> {
        if done.more == 0 {
            return self.waiting.remove(&done.request);
        }
        let waiting = self.waiting.get_mut(&done.request)?;
        waiting.is_used = true;
        Some(waiting.clone())
    }
}

impl Resolver {
    pub(super) fn submitted(&mut self, view: &View<'_, IoSubmit>, clock: &Clock, sink: &mut Sink<'_>) {
        self.state.meet(&view.fixed.header);
        for lost in self.requests.add(view).into_iter().flatten() {
            let header = Header {
                ts: view.fixed.header.ts,
                ..lost.fixed.header
            };
            self.tell(&header, &lost.fixed, None, None, None, clock, sink);
        }
    }

    pub(super) fn completed(&mut self, view: &View<'_, IoComplete>, clock: &Clock, sink: &mut Sink<'_>) {
        let (done, ret) = (view.fixed, i64::from(view.fixed.res));
        let Some(Waiting {
            fixed, mut sections, ..
        }) = self.requests.of(done)
        else {
            return;
        };
        // A kernel thread that serves the ring may not share the process's descriptors.
        let same = done.header.tgid == fixed.header.tgid;
        let header = Header {
            ts: done.header.ts,
            cpu: done.header.cpu,
            flags: fixed.header.flags & !FLAG_COMPAT | if same { done.header.flags & FLAG_UNTRUE } else { 0 },
            ..fixed.header
        };
        self.state.meet(&header);
        if same {
            sections.extend(view.section_bytes());
        }
        let number = complete_call_of(fixed.opcode).and_then(|nr| i32::try_from(nr).ok());
        let mut args = fixed.args;
        let of_ring = fixed.flags & IO_FIXED_FILE != 0 || fixed.opcode == CLOSE && fixed.slot != 0;
        if of_ring {
            // No descriptor, but a place among the ring's files.
            args[0] = NO_DESCRIPTOR;
        }
        let syscall = Syscall {
            header,
            nr: number.unwrap_or(-1),
            reserved: 0,
            ret,
            args,
        };
        let view = SyscallView::new(&syscall, &sections);
        let call = Call::new(&view);
        let exchanges = |nr| matches!(self.plans.get(nr, false).action, Action::Send | Action::Receive);
        if !of_ring && number.is_some_and(exchanges) {
            // The request shows the socket with the ends that it has, whoever connected it meanwhile.
            self.state.exchange(&call, None, Role::Unknown);
        }
        let file = match of_ring {
            true => self.state.described(&call, &mut self.scratch),
            // Before the call: closing takes the descriptor away.
            false => self.known(&call, &fixed),
        };
        if fixed.opcode == INSTALL && same {
            self.state.install(&call, file.as_ref());
            return self.tell(&header, &fixed, Some(ret), call.new_fd(), file.as_ref(), clock, sink);
        }
        let own = (fixed.fd >= 0 && !of_ring).then_some(fixed.fd);
        self.tell(&header, &fixed, Some(ret), own, file.as_ref(), clock, sink);
        if number.is_none() {
            return;
        }
        if of_ring || fixed.slot != 0 && done.res >= 0 {
            let plan = self.plans.get(call.nr, false);
            self.state.base_told(&call, plan);
            self.state
                .without_descriptor(&call, plan, file, &header, clock, &mut self.scratch, sink);
        } else {
            self.syscall(&view, clock, sink);
        }
    }

    /// What the process has behind a request's descriptor.
    fn known(&mut self, call: &Call<'_>, request: &IoSubmit) -> Option<Arc<FdEntry>> {
        if request.fd < 0 {
            return None;
        }
        self.state.ask_for_fd(call, request.fd);
        self.state.table.at(call.pid, call.ts)?.fds.get(request.fd).cloned()
    }

    /// The event of the request itself.
    #[expect(clippy::too_many_arguments, reason = "what an event is made of")]
    fn tell(
        &mut self,
        header: &Header,
        request: &IoSubmit,
        ret: Option<i64>,
        fd_num: Option<i32>,
        fd: Option<&Arc<FdEntry>>,
        clock: &Clock,
        sink: &mut Sink<'_>,
    ) {
        let args = [
            i64::from(request.opcode),
            i64::from(request.fd),
            i64::from(request.flags & !IO_MULTISHOT),
            request.user_data as i64,
            i64::from(request.slot),
        ];
        let process = self.state.table.at(header.tgid, header.ts);
        let image = process.map(|p| p.image_of(header.tid));
        sink(&Event {
            ret,
            fd_num,
            fd,
            ..bare(header, EventType::IO_URING_REQ, clock, image, &args.map(Arg::Num))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn submit(requests: &mut Requests, request: u64, ts: u64) -> Vec<(u64, u64)> {
        submit_flagged(requests, request, ts, 0)
    }

    fn submit_flagged(requests: &mut Requests, request: u64, ts: u64, flags: u32) -> Vec<(u64, u64)> {
        let fixed = IoSubmit {
            request,
            flags,
            header: Header {
                ts,
                ..Header::default()
            },
            ..IoSubmit::default()
        };
        let lost = requests.add(&View::new(&fixed, &[]));
        let lost = lost.into_iter().flatten();
        lost.map(|w| (w.fixed.request, w.fixed.header.ts)).collect()
    }

    #[test]
    fn what_has_no_end_is_given_back_and_memory_is_bounded() {
        let mut requests = Requests::default();
        let most = MAX_WAITING as u64;
        for n in 0..most {
            assert_eq!(submit(&mut requests, n, n), []);
        }
        assert_eq!(submit(&mut requests, most, most), [(0, 0)], "the oldest");
        assert!(requests.waiting.remove(&1).is_some());
        assert_eq!(submit(&mut requests, most + 1, most + 1), [], "that one has ended");
        assert_eq!(
            submit(&mut requests, 5, most + 2),
            [(5, 5), (2, 2)],
            "its name was given again"
        );
        for n in 0..3 * most {
            let _ = submit(&mut requests, 9, 2 * most + n);
            assert!(requests.order[0].len() <= MAX_WAITING && requests.waiting.len() <= MAX_WAITING);
        }
    }

    #[test]
    fn what_stays_is_kept_as_long_as_it_has_results() {
        let mut requests = Requests::default();
        let most = MAX_WAITING as u64;
        for request in [1, 2] {
            assert_eq!(submit_flagged(&mut requests, request, request, IO_MULTISHOT), []);
        }
        for n in 10..3 * most {
            submit(&mut requests, n, n);
        }
        let result = |request, more| IoComplete {
            request,
            more,
            ..IoComplete::default()
        };
        assert!(requests.of(&result(1, 1)).is_some(), "the others wait apart");
        let mut lost = Vec::new();
        for n in 4 * most..5 * most {
            lost.extend(submit_flagged(&mut requests, n, n, IO_MULTISHOT));
        }
        assert_eq!(
            lost,
            [(2, 2), (4 * most, 4 * most)],
            "the oldest without a result since"
        );
        assert!(requests.of(&result(1, 0)).is_some());
        assert!(requests.of(&result(1, 0)).is_none(), "that was its last");
        assert!(requests.order.iter().all(|order| order.len() <= MAX_WAITING));
    }
}
