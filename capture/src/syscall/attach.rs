//! Which programs there are, where they are attached, and in which order.

use std::{
    collections::BTreeMap,
    error::Error,
    thread::{self, JoinHandle},
};

use aya::{
    Btf, BtfError, Ebpf,
    programs::{Program, ProgramError},
};
use ctrace_wire::spec::ENTER;

use super::{
    Config, Missing,
    host::IoUring,
    refusal::{OpenError, not_attached, shorten},
    scope,
};

/// How a program is attached.
#[derive(Clone, Copy)]
enum Hook {
    /// By type: arguments are checked pointers. Faster to read from, needs the kernel's BTF.
    Typed,
    /// Plain raw tracepoint.
    Raw,
}

/// A program and its place.
#[derive(Clone, Copy)]
pub(super) struct Attachment {
    pub(super) program: &'static str,
    tracepoint: &'static str,
    hook: Hook,
    optional: bool,
}

const ATTACHMENTS: [Attachment; 9] = [
    // Life cycle first: a task seen by a syscall should have been seen at its start.
    Attachment {
        program: "process_fork",
        tracepoint: "sched_process_fork",
        hook: Hook::Raw,
        optional: false,
    },
    // What comes just before the record of an exec, so that it is there when that is.
    Attachment {
        program: "task_rename",
        tracepoint: "task_rename",
        hook: Hook::Raw,
        optional: true,
    },
    Attachment {
        program: "process_exec",
        tracepoint: "sched_process_exec",
        hook: Hook::Raw,
        optional: false,
    },
    Attachment {
        program: "process_exit",
        tracepoint: "sched_process_exit",
        hook: Hook::Raw,
        optional: false,
    },
    Attachment {
        program: "cgroup_mkdir",
        tracepoint: "cgroup_mkdir",
        hook: Hook::Raw,
        optional: true,
    },
    Attachment {
        program: "cgroup_rmdir",
        tracepoint: "cgroup_rmdir",
        hook: Hook::Raw,
        optional: true,
    },
    Attachment {
        program: "cgroup_attach",
        tracepoint: "cgroup_attach_task",
        hook: Hook::Raw,
        optional: false,
    },
    Attachment {
        program: "sys_enter",
        tracepoint: "sys_enter",
        hook: Hook::Typed,
        optional: false,
    },
    Attachment {
        program: "sys_exit",
        tracepoint: "sys_exit",
        hook: Hook::Typed,
        optional: false,
    },
];

/// The programs that a recording needs: those that follow the life of processes, and those that see syscalls.
pub(super) fn needed(config: &Config, io_uring: Option<IoUring>) -> (Vec<Attachment>, Vec<Attachment>) {
    let mut wanted: Vec<Attachment> = ATTACHMENTS.into_iter().filter(|a| is_needed(a, config)).collect();
    if let Some(io_uring) = io_uring
        && config.io_opcodes.iter().any(|asked| *asked != 0)
    {
        wanted.extend(requests(io_uring));
    }
    wanted.into_iter().partition(|a| matches!(a.hook, Hook::Raw))
}

/// All programs that this host can attach.
#[cfg(test)]
pub(super) fn every(io_uring: Option<IoUring>) -> Vec<Attachment> {
    let requests = io_uring.map(requests).into_iter().flatten();
    ATTACHMENTS.into_iter().chain(requests).collect()
}

/// The programs that see requests of io_uring.
fn requests(io_uring: IoUring) -> [Attachment; 2] {
    [
        ("io_uring_submit", io_uring.submit),
        (io_uring.complete, "io_uring_complete"),
    ]
    .map(|(program, tracepoint)| Attachment {
        program,
        tracepoint,
        hook: Hook::Raw,
        optional: true,
    })
}

fn is_needed(attachment: &Attachment, config: &Config) -> bool {
    match attachment.program {
        "sys_enter" => config.specs.iter().any(|spec| spec.flags & ENTER != 0),
        "cgroup_attach" => config.scope.as_ref().is_some_and(scope::Scope::names_cgroups),
        _ => true,
    }
}

/// The kernel's types as aya wants them, when they are read.
pub(super) type Types = JoinHandle<Result<Btf, BtfError>>;

/// Loads programs and attaches them: those that follow the life of processes, then, after `between`, those that see
/// syscalls. Each is loaded by a thread of its own: the kernel walks through all that a program may do, and does so on as
/// many CPUs as it is asked on. Where it is not the last try, also an optional program that the kernel refuses is an error.
pub(super) fn start(
    programs: &mut Ebpf,
    (others, syscalls): (Vec<Attachment>, Vec<Attachment>),
    types: Types,
    missing: &mut Vec<Missing>,
    is_last_try: bool,
    between: impl FnOnce() -> Result<(), OpenError>,
) -> Result<(), OpenError> {
    let mut there: BTreeMap<&str, &mut Program> = programs.programs_mut().collect();
    let (others, mut syscalls) = (starting(others, &mut there)?, starting(syscalls, &mut there)?);
    let syscalls = thread::scope(|scope| {
        // The others need no types, and the one that takes longest is among them.
        let typed = scope.spawn(|| {
            let types = types.join().ok()?.ok()?;
            load_all(&mut syscalls, Some(&types));
            Some(syscalls)
        });
        let mut others = others;
        load_all(&mut others, None);
        attach_all(others, missing, is_last_try)?;
        between()?;
        typed.join().ok().flatten().ok_or(OpenError::BadBtf)
    })?;
    attach_all(syscalls, missing, is_last_try)
}

/// Why a program was not loaded or attached.
type Refusal = Box<dyn Error + Send + Sync>;

/// A program on its way into the kernel.
struct Starting<'p> {
    attachment: Attachment,
    program: &'p mut Program,
    loaded: Result<(), Refusal>,
}

fn starting<'p>(
    attachments: Vec<Attachment>,
    there: &mut BTreeMap<&str, &'p mut Program>,
) -> Result<Vec<Starting<'p>>, OpenError> {
    let one = |attachment: Attachment| {
        let name = attachment.program;
        let program = there.remove(name);
        Ok(Starting {
            attachment,
            program: program.ok_or_else(|| OpenError::Load(format!("the object has no program {name}")))?,
            loaded: Ok(()),
        })
    };
    attachments.into_iter().map(one).collect()
}

fn load_all(programs: &mut [Starting<'_>], types: Option<&Btf>) {
    thread::scope(|scope| {
        for one in programs {
            scope.spawn(|| one.loaded = load(one.program, &one.attachment, types));
        }
    });
}

/// Loads a program, for which the kernel's types are needed where it is hooked by type.
pub(super) fn load(program: &mut Program, attachment: &Attachment, types: Option<&Btf>) -> Result<(), Refusal> {
    match (program, attachment.hook, types) {
        (Program::BtfTracePoint(program), Hook::Typed, Some(types)) => program.load(attachment.tracepoint, types)?,
        (Program::RawTracePoint(program), Hook::Raw, _) => program.load()?,
        _ => return Err(Box::new(ProgramError::UnexpectedProgramType)),
    }
    Ok(())
}

fn attach_all(programs: Vec<Starting<'_>>, missing: &mut Vec<Missing>, is_last_try: bool) -> Result<(), OpenError> {
    for one in programs {
        let name = one.attachment.program;
        let is_spare = one.attachment.optional && (is_last_try || one.loaded.is_ok());
        match one.loaded.and_then(|()| attach(one.program, one.attachment.tracepoint)) {
            Ok(()) => {}
            Err(reason) if is_spare => {
                missing.push(Missing::Program {
                    name,
                    reason: shorten(&reason.to_string()),
                });
            }
            Err(reason) => return Err(not_attached(name, &*reason)),
        }
    }
    Ok(())
}

fn attach(program: &mut Program, tracepoint: &str) -> Result<(), Refusal> {
    match program {
        Program::BtfTracePoint(program) => {
            program.attach()?;
        }
        Program::RawTracePoint(program) => {
            program.attach(tracepoint)?;
        }
        _ => return Err(Box::new(ProgramError::UnexpectedProgramType)),
    }
    Ok(())
}

/// Detaches the programs in the reverse of the order in which they were attached, so that no syscall is recorded of a
/// process whose fork or exec was not. Each takes the kernel a while.
pub(super) fn detach(mut programs: Ebpf) {
    for attachment in ATTACHMENTS.iter().rev() {
        // A refusal leaves it to the drop of the programs.
        let _ = match programs.program_mut(attachment.program) {
            Some(Program::BtfTracePoint(program)) => program.unload(),
            Some(Program::RawTracePoint(program)) => program.unload(),
            _ => Ok(()),
        };
    }
}
