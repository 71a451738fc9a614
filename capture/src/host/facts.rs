//! What does not change while a host runs: who it is and what kernel it has.

use super::clock::Clock;
use super::procfs::{read_text, read_trimmed};

/// Facts of this host. Empty where a host does not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// The kernel's host name.
    pub hostname: String,
    /// `/etc/machine-id`, 32 hexadecimal digits.
    pub machine_id: String,
    /// Random id of this boot, a UUID.
    pub boot_id: String,
    /// `6.1.0-18-amd64`
    pub kernel_release: String,
    /// Build number, options and time of the kernel.
    pub kernel_version: String,
    /// `x86_64`
    pub arch: String,
    /// What the boot loader gave to the kernel.
    pub kernel_command_line: Vec<u8>,
    /// The clock source that the kernel uses.
    pub clock_source: String,
    /// When the machine started: nanoseconds since the Unix epoch.
    pub boot_utc_ns: u64,
    /// UTC minus boot clock when this was read, nanoseconds.
    pub clock_offset_ns: i64,
}

impl HostFacts {
    /// Reads them.
    pub fn read(clock: &Clock) -> HostFacts {
        let kernel = |name: &str| read_text(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
        let clock_source = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
        HostFacts {
            hostname: kernel("hostname"),
            machine_id: read_text("/etc/machine-id").unwrap_or_default(),
            boot_id: kernel("random/boot_id"),
            kernel_release: kernel("osrelease"),
            kernel_version: kernel("version"),
            arch: std::env::consts::ARCH.to_owned(),
            kernel_command_line: read_trimmed("/proc/cmdline").unwrap_or_default(),
            clock_source: read_text(clock_source).unwrap_or_default(),
            boot_utc_ns: clock.boot_utc_ns(),
            clock_offset_ns: clock.offset_ns(),
        }
    }
}
