//! An audit event as an event of a recording.

use std::borrow::Cow;
use std::sync::Arc;

use ctrace_trace::audit;
use ctrace_trace::event::{Arg, Event, EventType};
use ctrace_trace::process::ProcessImage;

use super::event::{AuditEvent, Syscall};

/// The name that auditd gave, or that the table has; the number where neither knows one.
fn syscall_name(syscall: &Syscall) -> Cow<'_, str> {
    let declared = || audit::syscall_name(syscall.arch, syscall.number);
    let named = syscall.name.as_deref().or_else(declared);
    named.map_or_else(|| syscall.number.to_string().into(), Cow::Borrowed)
}

impl AuditEvent {
    /// Calls `take` with the event as it is recorded. `image` is the process that acted.
    pub(crate) fn with_event<R>(&self, image: Option<&Arc<ProcessImage>>, take: impl FnOnce(&Event<'_>) -> R) -> R {
        let types = self.joined_types();
        let keys: Cow<'_, [u8]> = match self.keys.as_slice() {
            [key] => key.into(),
            keys => keys.join(&b","[..]).into(),
        };
        let syscall = self.syscall.as_ref().map(syscall_name);
        let success = self.success.map(|ok| if ok { "yes" } else { "no" });
        // -1 is how both auditd and Falco show an unset login user.
        let auid = self.auid.map(|id| if id == u32::MAX { -1 } else { i64::from(id) });
        let args = [
            i64::try_from(self.serial).map_or(Arg::None, Arg::Num),
            Arg::text(types.as_bytes()),
            Arg::text(&keys),
            Arg::text(syscall.as_deref().unwrap_or_default().as_bytes()),
            Arg::text(success.unwrap_or_default().as_bytes()),
            self.pid.map_or(Arg::None, |p| Arg::Num(i64::from(p))),
            auid.map_or(Arg::None, Arg::Num),
            Arg::text(&self.exe),
            Arg::text(&self.raw),
        ];
        take(&Event {
            image,
            tid: self.pid.unwrap_or(0),
            ..Event::bare(self.ts_ns, EventType::AUDIT, &args)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARCH_X86_64: u32 = 0xC000_003E;
    const ARCH_I386: u32 = 0x4000_0003;

    #[test]
    fn audit_syscalls_have_names_without_auditd() {
        let name = |arch, number, name: Option<&str>| {
            let syscall = Syscall {
                arch,
                number,
                name: name.map(str::to_owned),
            };
            syscall_name(&syscall).into_owned()
        };
        assert_eq!(name(ARCH_X86_64, 59, None), "execve");
        assert_eq!(name(ARCH_I386, 11, None), "execve");
        assert_eq!(name(ARCH_X86_64, 59, Some("as auditd says")), "as auditd says");
        assert_eq!(name(ARCH_X86_64, 4095, None), "4095");
        assert_eq!(name(ARCH_X86_64, u32::MAX, None), u32::MAX.to_string());
        assert_eq!(name(0x8000_0016, 11, None), "11");
    }
}
