//! From a syscall record to its event: resolve paths, change state, hand out.

use std::mem;
use std::sync::Arc;

use ctrace_trace::event::{Arg, Event, EventType};
use ctrace_trace::fd::{FdEntry, FdKind, Role};
use ctrace_trace::schema::FdUse;
use ctrace_wire::record::{Exec, Exit, FLAG_COMPAT, Header};
use ctrace_wire::section;

use super::action::Action;
use super::address::Address;
use super::call::{Call, ENOSYS, Scratch};
use super::clock::Clock;
use super::exec::{Given, Started};
use super::files::write_named;
use super::plan::{Last, MAX_PARAMS, PathArg, Plan, Registers, Value, Way};
use super::process::{Attempt, Process};
use super::state::State;
use super::walk::{Base, Name};
use super::{Resolver, Sink, bare, files, opened, paths, sockets};
use crate::syscall::{SyscallView, View};

/// `rt_sigreturn` of the 32-bit table (arch/x86/entry/syscalls/syscall_32.tbl).
const COMPAT_RT_SIGRETURN: i32 = 173;

impl Resolver {
    /// A syscall returned that opens a file; or registers say all of it, its process is where it was, and its descriptor
    /// is known. That is most of them; `false` where it is another one, and nothing was done.
    #[inline(always)]
    pub(super) fn plain(&mut self, view: &SyscallView<'_>, clock: &Clock, sink: &mut impl FnMut(&Event<'_>)) -> bool {
        let (header, call) = (&view.fixed.header, Call::new(view));
        let plan = self.plans.get(call.nr, header.flags & FLAG_COMPAT != 0);
        if !self.state.config.sees_descriptors || call.is_untrue() {
            return false;
        }
        match (&plan.registers, plan.action) {
            (Some(registers), _) => self.state.plain(&call, plan, registers, header, clock, sink),
            (None, Action::Open(_)) => {
                self.state.open_returned(view, plan, clock, &mut self.scratch, sink);
                true
            }
            _ => false,
        }
    }

    /// A syscall returned.
    #[inline(never)]
    pub(super) fn syscall(&mut self, view: &SyscallView<'_>, clock: &Clock, sink: &mut Sink<'_>) {
        let header = &view.fixed.header;
        let call = Call::new(view);
        let plan = self
            .plans
            .get(self.state.number(&call, header), header.flags & FLAG_COMPAT != 0);
        self.state.keep_within_budget();
        self.state.meet(header);
        if !self.state.config.sees_descriptors {
            self.state.take_described(&call, plan, &mut self.scratch);
        }
        match plan.action {
            _ if call.is_untrue() => self.state.full(&call, plan, header, clock, &mut self.scratch, sink),
            _ if plan.simple => self.state.simple(&call, plan, header, clock, &self.scratch, sink),
            Action::Exec => self.exec_returned(&call, plan.kind, header, clock, sink),
            Action::Open(_) => {
                let scratch = &mut self.scratch;
                self.state
                    .open_returned(view, plan, clock, scratch, &mut |event| sink(event));
            }
            _ => self.state.full(&call, plan, header, clock, &mut self.scratch, sink),
        }
    }

    /// A syscall was entered whose arguments are gone when it returns.
    pub(super) fn enter(&mut self, view: &SyscallView<'_>) {
        let header = &view.fixed.header;
        self.state.meet(header);
        let call = Call::new(view);
        let plan = self.plans.get(call.nr, header.flags & FLAG_COMPAT != 0);
        if plan.action == Action::Exec {
            return self.state.begin_exec(&call, plan);
        }
        if i64::from(call.nr) == libc::SYS_rt_sigreturn {
            self.state.begin_sigreturn(&call);
        }
    }

    /// A thread ended itself: the call that did it has no return.
    pub(super) fn left(&mut self, exit: &Exit, clock: &Clock, sink: &mut Sink<'_>) {
        let (header, Ok(nr)) = (&exit.header, i32::try_from(exit.call)) else {
            return;
        };
        let plan = self.plans.get(nr, header.flags & FLAG_COMPAT != 0);
        let args = [Arg::Num(i64::from(exit.status))];
        let process = self.state.table.of_thread(header.tgid, header.ts, exit.start);
        let image = process.map(|p| p.image_of(header.tid));
        let args = args.get(..plan.values.len()).unwrap_or_default();
        sink(&bare(header, plan.kind, clock, image, args));
    }

    /// A program started.
    pub(super) fn exec(&mut self, view: &View<'_, Exec>, clock: &Clock, sink: &mut Sink<'_>) {
        let header = &view.fixed.header;
        self.state.meet(header);
        let started = self.state.exec(view, clock);
        let (nr, is_compat) = exec_number(&started, self.state.config.hears_calls);
        let plan = self.plans.get(nr, is_compat);
        self.state.emit_exec(plan, header, clock, (&started, 0), sink);
    }

    /// An exec returned: it failed, or its event was made when the image changed.
    fn exec_returned(&mut self, call: &Call<'_>, kind: EventType, header: &Header, clock: &Clock, sink: &mut Sink<'_>) {
        let Some(process) = self.state.table.at(call.pid, call.ts) else {
            return;
        };
        if call.ret == 0 && mem::take(&mut process.exec_reported) {
            return;
        }
        let attempt = process.take_attempt(call.tid);
        // One that succeeded reads as another call.
        let (nr, is_compat) = attempt
            .as_ref()
            .map_or((call.nr, kind.is_compat()), |a| (a.nr, a.is_compat));
        let plan = self.plans.get(nr, is_compat);
        let filename = plan.paths.first().and_then(|p| call.text(p.arg));
        let filename = filename.or_else(|| attempt.as_ref()?.filename.as_deref());
        let mut failed = Started {
            filename,
            resolved: None,
            given: call.section(section::STRING_ARRAY).and_then(|argv| Given::of(&argv)),
            // The arguments are still there when the call failed.
            attempt: Some(Attempt {
                tid: call.tid,
                nr,
                is_compat,
                args: attempt.as_ref().map_or_else(|| call.args(), |a| a.args),
                filename: None,
            }),
        };
        let resolved = failed.resolved.insert(Vec::new());
        if let (Some(filename), Some(path)) = (filename, plan.paths.first()) {
            self.state.resolve_path(call, filename, path, resolved);
        }
        self.state.emit_exec(plan, header, clock, (&failed, call.ret), sink);
    }
}

/// Which call started a program, and whether it is one of the 32-bit table. All but the usual one tell of themselves; where
/// they do not, the file name tells: the kernel makes `/dev/fd/N` of `execveat`'s descriptor (fs/exec.c, `alloc_bprm`).
fn exec_number(started: &Started<'_>, hears_calls: bool) -> (i32, bool) {
    let is_descriptor = || started.filename.is_some_and(|f| f.starts_with(b"/dev/fd/"));
    let number = match &started.attempt {
        Some(attempt) => return (attempt.nr, attempt.is_compat),
        None if !hears_calls && is_descriptor() => libc::SYS_execveat,
        None => libc::SYS_execve,
    };
    (number as i32, false)
}

impl State {
    /// What a record says of a descriptor that the call uses is all that is known of it.
    fn take_described(&mut self, call: &Call<'_>, plan: &Plan, scratch: &mut Scratch) {
        let used = match plan.fd {
            FdUse::Arg(at) => Some(at),
            FdUse::None => plan.paths.iter().find_map(|path| path.dirfd),
            FdUse::Ret => None,
        };
        if let Some(fd) = used.map(|at| call.fd(at)).filter(|fd| *fd >= 0) {
            kernel_path(call, scratch);
            self.describe(call, fd, scratch);
        }
    }

    /// See [`Resolver::plain`].
    #[inline(always)]
    fn plain(
        &mut self,
        call: &Call<'_>,
        plan: &Plan,
        registers: &Registers,
        header: &Header,
        clock: &Clock,
        sink: &mut impl FnMut(&Event<'_>),
    ) -> bool {
        let process = self.table.living_at(call.pid, call.ts);
        let Some(process) = process.filter(|process| process.cgroup == header.cgroup && !process.shares) else {
            return false;
        };
        let fd_num = match plan.fd {
            FdUse::Arg(at) => Some(call.fd(at)),
            FdUse::None | FdUse::Ret => None,
        };
        // What is closed is gone afterwards.
        let closes = matches!(plan.action, Action::Close);
        let closed = if closes { files::close(call, process) } else { None };
        let fd = match &closed {
            Some(entry) => Some(entry),
            None => fd_num.and_then(|fd| process.fds.get(fd)),
        };
        if fd.is_none() && !closes && fd_num.is_some_and(|fd| fd >= 0) {
            return false;
        }
        let args = &mut self.numbers;
        for (arg, (at, width)) in args.iter_mut().zip(registers.each()) {
            *arg = Arg::Num(width.read(call.arg(at)));
        }
        let image = Some(process.image_of(call.tid));
        sink(&Event {
            ret: Some(call.ret),
            fd_num,
            fd,
            data: call.buffer(),
            ..bare(
                header,
                plan.kind,
                clock,
                image,
                args.get(..registers.len()).unwrap_or_default(),
            )
        });
        if let Some(entry) = closed {
            self.files.closed.keep(entry);
        } else if matches!(plan.action, Action::Fcntl) && !files::fcntl(call, process) {
            self.stats.fds_refused += 1;
        }
        true
    }

    /// A syscall returned that opens a file.
    #[inline(never)]
    fn open_returned(
        &mut self,
        view: &SyscallView<'_>,
        plan: &Plan,
        clock: &Clock,
        scratch: &mut Scratch,
        sink: &mut impl FnMut(&Event<'_>),
    ) {
        // Who does nothing but open must not escape the bound.
        self.keep_within_budget();
        let (header, call) = (&view.fixed.header, Call::new(view));
        if !self.opened(&call, plan, header, clock, scratch, sink) {
            self.full(&call, plan, header, clock, scratch, sink);
        }
    }

    /// A call that needs no path and changes no more than numbers of descriptors, where [`Self::plain`] lacks something.
    fn simple(
        &mut self,
        call: &Call<'_>,
        plan: &Plan,
        header: &Header,
        clock: &Clock,
        scratch: &Scratch,
        sink: &mut Sink<'_>,
    ) {
        let closes = matches!(plan.action, Action::Close);
        if let FdUse::Arg(at) = plan.fd
            && !closes
        {
            self.ask_for_fd(call, call.fd(at));
        }
        let Some(process) = self.table.at(call.pid, call.ts) else {
            return emit(None, call, plan, header, clock, scratch, Shown::Behind, sink);
        };
        emit(Some(process), call, plan, header, clock, scratch, Shown::Behind, sink);
        // What is closed is gone afterwards.
        if closes && let Some(entry) = files::close(call, process) {
            self.files.closed.keep(entry);
        } else if matches!(plan.action, Action::Fcntl) && !files::fcntl(call, process) {
            self.stats.fds_refused += 1;
        }
    }

    /// Any other call.
    fn full(
        &mut self,
        call: &Call<'_>,
        plan: &Plan,
        header: &Header,
        clock: &Clock,
        scratch: &mut Scratch,
        sink: &mut Sink<'_>,
    ) {
        if plan.base.is_some() {
            self.resolve_from_base(call, plan, scratch);
        } else {
            self.resolve_paths(call, &plan.paths, scratch);
        }
        kernel_path(call, scratch);
        let address = sockets::address_of(call, plan.action);
        scratch.address.clear();
        if let Some(address) = &address {
            address.write(&mut scratch.address);
        }
        scratch.others.clear();
        if plan.values.last() == Some(&Value::Others) {
            sockets::write_others(call, &mut scratch.others);
        }
        let behind = match plan.action {
            // What could not be opened never came.
            _ if opens_path(plan) && !call.succeeded() => self.not_opened(call, plan, scratch),
            Action::Send => self.sent_past_peer(call, address.as_ref()),
            _ => None,
        };
        if call.is_untrue() {
            self.take_truth(call, plan, scratch);
        } else {
            self.act(call, plan, address.as_ref(), scratch);
        }
        if let FdUse::Arg(at) = plan.fd {
            self.ask_for_fd(call, call.fd(at));
        }
        if opens_path(plan) && call.succeeded() && !scratch.kernel.is_empty() {
            // The event shows the same truth as the descriptor.
            let Scratch { paths, kernel, .. } = &mut *scratch;
            if let Some(path) = paths.first_mut() {
                path.clone_from(kernel);
            }
        }
        let shown = behind.as_ref().map_or(Shown::Behind, Shown::This);
        let process = self.table.at(call.pid, call.ts);
        emit(process.map(|p| &*p), call, plan, header, clock, scratch, shown, sink);
        if let Some(entry) = behind {
            self.files.closed.keep(entry);
        }
    }

    /// What the kernel says of the file of a call that has no descriptor for it.
    pub(super) fn described(&mut self, call: &Call<'_>, scratch: &mut Scratch) -> Option<Arc<FdEntry>> {
        kernel_path(call, scratch);
        let file = sockets::described(call).or_else(|| files::described(call, scratch))?;
        Some(self.entry(file))
    }

    /// A call about a file, or one that makes it, which has no descriptor but is one of an io_uring's own.
    #[expect(clippy::too_many_arguments, reason = "what an event is made of")]
    pub(super) fn without_descriptor(
        &mut self,
        call: &Call<'_>,
        plan: &Plan,
        file: Option<Arc<FdEntry>>,
        header: &Header,
        clock: &Clock,
        scratch: &mut Scratch,
        sink: &mut Sink<'_>,
    ) {
        self.resolve_paths(call, &plan.paths, scratch);
        let address = sockets::address_of(call, plan.action);
        scratch.address.clear();
        if let Some(address) = &address {
            address.write(&mut scratch.address);
        }
        let file = match plan.action {
            _ if opens_path(plan) => self.not_opened(call, plan, scratch),
            Action::Connect | Action::Send => self.told_of(call, plan.action, file, address.as_ref()),
            _ => file,
        };
        let process = self.table.at(call.pid, call.ts);
        let shown = Shown::Alone(file.as_ref());
        emit(process.map(|p| &*p), call, plan, header, clock, scratch, shown, sink);
    }

    /// What a call asked to open that gave no descriptor, which Falco shows as the descriptor's name too.
    fn not_opened(&mut self, call: &Call<'_>, plan: &Plan, scratch: &Scratch) -> Option<Arc<FdEntry>> {
        let raw = call.text(plan.paths.first()?.arg)?;
        let name = scratch.paths.first().filter(|path| !path.is_empty())?;
        let mut unshared = self.files.closed.take();
        write_named(unshared.get_mut(), FdKind::File, name);
        if raw != &name[..] {
            unshared.get_mut().name_raw.extend_from_slice(raw);
        }
        Some(self.share(unshared))
    }

    /// The same where the kernel may say from where names lead on. It says where that is after the call, which may have moved
    /// it: `rename("../here", "/there")`, `umount(".")`.
    fn resolve_from_base(&mut self, call: &Call<'_>, plan: &Plan, scratch: &mut Scratch) {
        let moves_first = matches!(plan.action, Action::Rename | Action::Mount);
        if moves_first {
            self.resolve_paths(call, &plan.paths, scratch);
        }
        let moved = self.base_told(call, plan);
        let [old, new] = &scratch.paths;
        let was_elsewhere = moved.is_some_and(|moved| !moved.is_by(old, new));
        if !moves_first || plan.action == Action::Rename && was_elsewhere {
            self.resolve_paths(call, &plan.paths, scratch);
        }
    }

    /// Makes the paths of a call absolute, as the process stood when it made the call.
    fn resolve_paths(&mut self, call: &Call<'_>, args: &[PathArg], scratch: &mut Scratch) {
        for (path, out) in args.iter().zip(&mut scratch.paths) {
            out.clear();
            let Some(raw) = call.text(path.arg) else {
                continue;
            };
            self.resolve_path(call, raw, path, out);
        }
    }

    /// Makes one path absolute, from the directory behind a register or the working directory.
    fn resolve_path(&mut self, call: &Call<'_>, raw: &[u8], path: &PathArg, out: &mut Vec<u8>) {
        let dirfd = path.dirfd.map(|at| call.fd(at)).filter(|fd| *fd != libc::AT_FDCWD);
        if let Some(fd) = dirfd.filter(|_| raw.first() != Some(&b'/')) {
            self.ask_for_fd(call, fd);
        }
        let Some(process) = self.table.at(call.pid, call.ts) else {
            paths::resolve(b"", b"", raw, out);
            return;
        };
        let base = match dirfd {
            Some(fd) => process.fds.get(fd).map_or(&[][..], |e| &e.name),
            None => &process.image_of(call.tid).cwd,
        };
        if raw.is_empty() && dirfd.is_some() {
            // `AT_EMPTY_PATH`: the object itself, which need not have a path.
            out.extend_from_slice(base);
            return;
        }
        let cut = paths::resolve(process.root_of(call.tid), base, raw, out);
        let is_wanted = match path.way {
            Way::AsTold => false,
            Way::Back => cut,
            Way::Whole => cut || path.last != Last::Stays || raw.contains(&b'/'),
        };
        if is_wanted && call.succeeded() {
            let name = Name {
                raw,
                base: dirfd.map_or(Base::WorkingDirectory, Base::Descriptor),
                is_followed: path.last.is_followed(|at| call.arg32(at)),
                is_cut: cut,
            };
            self.straighten(call, &name, out);
        }
    }

    /// The event of an exec and its result.
    fn emit_exec(
        &mut self,
        plan: &Plan,
        header: &Header,
        clock: &Clock,
        (exec, ret): (&Started<'_>, i64),
        sink: &mut Sink<'_>,
    ) {
        let image = self.table.at(header.tgid, header.ts).map(|p| p.image_of(header.tid));
        let own_file = || image.map_or(&[][..], |image| &image.exe_path);
        let mut args = [Arg::None; MAX_PARAMS];
        for (arg, value) in args.iter_mut().zip(&plan.values) {
            *arg = match (value, &exec.attempt) {
                (Value::Path(_), attempt) => match exec.filename {
                    Some(filename) => Arg::Path {
                        resolved: exec.resolved.as_deref().unwrap_or_else(own_file),
                        raw: attempt.as_ref().and_then(|a| a.filename.as_deref()).unwrap_or(filename),
                    },
                    None => Arg::None,
                },
                (Value::Signed(at), Some(a)) => Arg::Num(i64::from(a.arg(*at) as i32)),
                (Value::Unsigned(at), Some(a)) => Arg::Num(i64::from(a.arg(*at) as u32)),
                (Value::Program, _) => exec.given.as_ref().map_or(Arg::None, |given| Arg::Str(&given.program)),
                (Value::Arguments, _) => exec.given.as_ref().map_or(Arg::None, |given| Arg::Str(&given.others)),
                _ => Arg::None,
            };
        }
        let args = args.get(..plan.values.len()).unwrap_or_default();
        sink(&Event {
            ret: Some(ret),
            ..bare(header, plan.kind, clock, image, args)
        });
    }

    fn act(&mut self, call: &Call<'_>, plan: &Plan, address: Option<&Address<'_>>, scratch: &Scratch) {
        let [path, second] = &scratch.paths;
        match plan.action {
            // These have ways of their own.
            Action::None | Action::Exec | Action::Close | Action::Fcntl => {}
            Action::Open(flags) => self.open(call, plan, flags, scratch),
            Action::Anonymous(kind, name, flags) => {
                self.anonymous(call, kind, name.as_bytes(), call.cloexec(flags), scratch);
            }
            Action::Memfd => self.memfd(call, scratch),
            Action::Opaque(flags) => self.opaque(call, call.cloexec(flags), scratch),
            Action::Bpf => self.bpf(call, scratch),
            Action::CloseRange => self.close_range(call),
            Action::Dup(flags) => self.dup(call, call.cloexec(flags)),
            Action::Pipe(flags) => self.pipe(call, call.cloexec(flags)),
            Action::SocketPair => self.socketpair(call),
            Action::Socket => self.socket(call),
            Action::Bind => self.bind(call, address),
            Action::Connect => self.connect(call, address),
            Action::Listen => self.listen(call),
            Action::Accept(flags) => self.accept(call, address, call.cloexec(flags)),
            Action::Send => self.exchange(call, address, Role::Client),
            Action::Receive if call.succeeded() => {
                self.exchange(call, address, Role::Server);
                self.received(call, scratch);
            }
            Action::Receive => {}
            Action::LocalName => self.told_end(call, address, true),
            Action::PeerName => self.told_end(call, address, false),
            Action::Chdir | Action::Fchdir if self.placed(call) => {}
            Action::Chdir => self.chdir(call, path),
            Action::Fchdir => self.fchdir(call),
            Action::Chroot if self.rooted(call) => {}
            Action::Chroot => self.chroot(call, path),
            Action::PivotRoot => {
                self.pivot_root(call);
                self.placed(call);
            }
            Action::SetNamespace => {
                self.set_namespace(call);
                self.placed(call);
            }
            Action::Unshare => self.unshare(call),
            Action::SetIds => self.set_ids(call),
            Action::Prctl => self.prctl(call),
            Action::SetSession => self.set_session(call),
            Action::SetGroup => self.set_group(call),
            Action::Symlink => self.symlinked(call, path),
            Action::Link => self.linked(call, path, second),
            Action::Rename => self.renamed(call, path, second),
            Action::Unlink | Action::Mount => {
                for path in scratch.paths.iter().take(plan.paths.len()) {
                    self.unlinked(call, path);
                }
            }
        }
    }

    /// A call did not do to descriptors what it says: what the kernel has behind the one in question counts.
    #[cold]
    fn take_truth(&mut self, call: &Call<'_>, plan: &Plan, scratch: &Scratch) {
        let fd = match plan.action {
            Action::Close => Some(call.fd(0)),
            // Of what it made instead the numbers are not known.
            Action::Pipe(_) | Action::SocketPair => None,
            _ => call.new_fd(),
        };
        if let Some(fd) = fd {
            self.describe_anew(call, fd, scratch);
        }
    }

    /// The number of a call. `rt_sigreturn` replaces the registers, so that its return reads −1, as does that of a call
    /// which a tracer took back; its entry tells, where entries of it are recorded. Those of the 32-bit table never are,
    /// and of its two calls that return from a handler both are told as `rt_sigreturn`.
    #[inline]
    fn number(&mut self, call: &Call<'_>, header: &Header) -> i32 {
        if call.nr != -1 || call.ret == ENOSYS {
            return call.nr;
        }
        if header.flags & FLAG_COMPAT != 0 {
            return COMPAT_RT_SIGRETURN;
        }
        let process = self.table.at(call.pid, call.ts);
        let returned = process.is_some_and(|p| p.take_sigreturn(call.tid));
        if returned || !self.sees_sigreturn {
            libc::SYS_rt_sigreturn as i32
        } else {
            -1
        }
    }

    fn begin_sigreturn(&mut self, call: &Call<'_>) {
        self.sees_sigreturn = true;
        if let Some(process) = self.table.at(call.pid, call.ts) {
            process.rare_mut().sigreturn = Some(call.tid);
        }
    }

    /// Keeps the arguments of an exec until it returns or succeeds.
    fn begin_exec(&mut self, call: &Call<'_>, plan: &Plan) {
        let filename = plan.paths.first().and_then(|p| call.text(p.arg));
        let attempt = Attempt {
            tid: call.tid,
            nr: call.nr,
            is_compat: plan.kind.is_compat(),
            args: call.args(),
            filename: filename.map(<[u8]>::to_vec),
        };
        self.table.images.add(filename.map_or(0, <[u8]>::len));
        if let Some(process) = self.table.at(call.pid, call.ts) {
            process.begin_attempt(attempt);
        }
    }
}

/// Hands out what a call says, as its process is now.
#[expect(clippy::too_many_arguments, reason = "what an event is made of")]
#[inline]
pub(super) fn emit(
    process: Option<&Process>,
    call: &Call<'_>,
    plan: &Plan,
    header: &Header,
    clock: &Clock,
    scratch: &Scratch,
    shown: Shown<'_>,
    sink: &mut Sink<'_>,
) {
    let fd_num = match plan.fd {
        _ if matches!(shown, Shown::Alone(_)) => None,
        FdUse::None => None,
        FdUse::Arg(at) => Some(call.fd(at)),
        FdUse::Ret => call.new_fd(),
    };
    let behind = || process?.fds.get(fd_num?);
    let (fd, opened) = match shown {
        Shown::This(entry) => (Some(entry), None),
        Shown::Alone(entry) => (entry, None),
        Shown::Behind => (behind(), None),
        Shown::Opened(asked) => behind().map(|entry| (entry, (&**entry, asked))).unzip(),
    };
    let mut args = [Arg::None; MAX_PARAMS];
    for (arg, value) in args.iter_mut().zip(&plan.values) {
        value.put(call, &plan.paths, scratch, opened, arg);
    }
    sink(&Event {
        ret: Some(call.ret),
        fd_num,
        fd,
        // Opening reads nothing.
        data: if opened.is_some() { &[] } else { call.buffer() },
        ..bare(
            header,
            plan.kind,
            clock,
            process.map(|p| p.image_of(call.tid)),
            args.get(..plan.values.len()).unwrap_or_default(),
        )
    });
}

/// The object that an event shows.
#[derive(Clone, Copy)]
pub(super) enum Shown<'a> {
    /// What is behind its descriptor.
    Behind,
    /// The same, which the call has just opened by this name: the path is that of the object.
    Opened(&'a [u8]),
    /// Another one.
    This(&'a Arc<FdEntry>),
    /// One that has no descriptor, where it is known.
    Alone(Option<&'a Arc<FdEntry>>),
}

/// Whether the event's path is the one of the file that was opened.
fn opens_path(plan: &Plan) -> bool {
    matches!(plan.action, Action::Open(_)) && plan.paths.len() == 1
}

/// The kernel's path of the file behind the call's descriptor.
fn kernel_path(call: &Call<'_>, scratch: &mut Scratch) {
    scratch.kernel.clear();
    if let Some(path) = call.section(section::FILE_PATH).filter(|path| !path.truncated) {
        let file = call.section(section::FILE).and_then(|s| s.file());
        opened::kernel_path(&path, file.map_or(0, |f| f.flags), &mut scratch.kernel);
    }
}
