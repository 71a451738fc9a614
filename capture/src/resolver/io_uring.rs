//! Requests of io_uring: joins what was submitted with how it ended, and tells it as the syscall that does the same.

use std::collections::VecDeque;
use std::sync::Arc;

use ctrace_trace::event::{Arg, Event, EventType};
use ctrace_trace::fd::{FdEntry, Role};
use ctrace_wire::record::{FLAG_COMPAT, Header, IO_FIXED_FILE, IoComplete, IoSubmit, Syscall};
use hashbrown::HashMap;

use super::action::Action;
use super::call::Call;
use super::clock::Clock;
use super::{Resolver, Sink, bare};
use crate::syscall::{INSTALL, SyscallView, View, complete_call_of};

/// Most requests that wait for their end. One that waits longer than so many newer ones is told without a result.
const MAX_WAITING: usize = 4096;

/// `IORING_OP_CLOSE`, which closes a descriptor or, where it names a slot, one of the ring's own files.
const CLOSE: u32 = 19;
/// -1, as a register has it.
const NO_DESCRIPTOR: u64 = u64::MAX;

/// Requests that were submitted, by the kernel's name of them.
#[derive(Debug, Default)]
pub(super) struct Requests {
    waiting: HashMap<u64, Waiting>,
    order: VecDeque<(u64, u64)>,
}

/// A submitted request.
#[derive(Debug)]
struct Waiting {
    fixed: IoSubmit,
    sections: Vec<u8>,
}

impl Requests {
    /// Keeps a request, and gives back those that have no end: its name was given to another, or it waited too long.
    fn add(&mut self, view: &View<'_, IoSubmit>) -> [Option<Waiting>; 2] {
        let (request, ts) = (view.fixed.request, view.fixed.header.ts);
        let new = Waiting {
            fixed: *view.fixed,
            sections: view.section_bytes().to_vec(),
        };
        self.order.push_back((request, ts));
        let replaced = self.waiting.insert(request, new);
        let oldest = match self.order.len() > MAX_WAITING {
            true => self.order.pop_front(),
            false => None,
        };
        // Most of the oldest have ended meanwhile.
        let is_it = |(request, ts): &(u64, u64)| self.waiting.get(request).is_some_and(|w| w.fixed.header.ts == *ts);
        let oldest = oldest.filter(is_it);
        [replaced, oldest.and_then(|(request, _)| self.waiting.remove(&request))]
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
        let done = view.fixed;
        // One that was submitted before the recording began.
        let Some(Waiting { fixed, mut sections }) = self.requests.waiting.remove(&done.request) else {
            return;
        };
        let header = Header {
            ts: done.header.ts,
            cpu: done.header.cpu,
            flags: fixed.header.flags & !FLAG_COMPAT,
            ..fixed.header
        };
        self.state.meet(&header);
        // A kernel thread that serves the ring may not share the process's descriptors.
        let same = done.header.tgid == fixed.header.tgid;
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
            ret: done.res,
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
            return self.tell(
                &header,
                &fixed,
                Some(done.res),
                call.new_fd(),
                file.as_ref(),
                clock,
                sink,
            );
        }
        let own = (fixed.fd >= 0 && !of_ring).then_some(fixed.fd);
        self.tell(&header, &fixed, Some(done.res), own, file.as_ref(), clock, sink);
        if number.is_none() {
            return;
        }
        if of_ring || fixed.slot != 0 && done.res >= 0 {
            let plan = self.plans.get(call.nr, false);
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
            i64::from(request.flags),
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
        let fixed = IoSubmit {
            request,
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
            assert!(requests.order.len() <= MAX_WAITING && requests.waiting.len() <= MAX_WAITING);
        }
    }
}
