//! Which programs there are, where they are attached, and in which order.

use std::error::Error;

use aya::{
    Btf, Ebpf,
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

const ATTACHMENTS: [Attachment; 8] = [
    // Life cycle first: a task seen by a syscall should have been seen at its start.
    Attachment {
        program: "process_fork",
        tracepoint: "sched_process_fork",
        hook: Hook::Raw,
        optional: false,
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

pub(super) fn attach_all(
    programs: &mut Ebpf,
    attachments: &[Attachment],
    btf: &Btf,
    missing: &mut Vec<Missing>,
) -> Result<(), OpenError> {
    for attachment in attachments {
        match attach(programs, attachment, btf) {
            Ok(()) => {}
            Err(reason) if attachment.optional => {
                missing.push(Missing::Program {
                    name: attachment.program,
                    reason: shorten(&reason.to_string()),
                });
            }
            Err(reason) => return Err(not_attached(attachment.program, &*reason)),
        }
    }
    Ok(())
}

/// Loads programs side by side: the kernel walks through each of their instructions, and does so on as many CPUs as it is
/// asked on. One that it refuses is refused again, and told of, when it is attached.
pub(super) fn load_all(programs: &mut Ebpf, attachments: &[Attachment], btf: &Btf) {
    std::thread::scope(|scope| {
        for (name, program) in programs.programs_mut() {
            if let Some(attachment) = attachments.iter().find(|a| a.program == name) {
                scope.spawn(move || load(program, attachment, btf).is_ok());
            }
        }
    });
}

pub(super) fn load_program(programs: &mut Ebpf, attachment: &Attachment, btf: &Btf) -> Result<(), Box<dyn Error>> {
    let program = programs.program_mut(attachment.program).ok_or("not in the object")?;
    load(program, attachment, btf)
}

fn load(program: &mut Program, attachment: &Attachment, btf: &Btf) -> Result<(), Box<dyn Error>> {
    if program.fd().is_ok() {
        return Ok(());
    }
    match (program, &attachment.hook) {
        (Program::BtfTracePoint(program), Hook::Typed) => program.load(attachment.tracepoint, btf)?,
        (Program::RawTracePoint(program), Hook::Raw) => program.load()?,
        _ => return Err(Box::new(ProgramError::UnexpectedProgramType)),
    }
    Ok(())
}

fn attach(programs: &mut Ebpf, attachment: &Attachment, btf: &Btf) -> Result<(), Box<dyn Error>> {
    load_program(programs, attachment, btf)?;
    match programs.program_mut(attachment.program).ok_or("not in the object")? {
        Program::BtfTracePoint(program) => {
            program.attach()?;
        }
        Program::RawTracePoint(program) => {
            program.attach(attachment.tracepoint)?;
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
