//! Types of audit records: the number in the kernel's messages and the name in logs.

use std::fmt;
use std::sync::LazyLock;

use hashbrown::HashMap;

/// What kind of record it is (`linux/audit.h`; those above 1099 that user space sends: audit-userspace's
/// `audit-records.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordType(pub u16);

impl RecordType {
    /// Login uid set.
    pub const LOGIN: RecordType = RecordType(1006);
    /// A system call, at its exit.
    pub const SYSCALL: RecordType = RecordType(1300);
    /// A working directory.
    pub const CWD: RecordType = RecordType(1307);
    /// A file that a call is about.
    pub const PATH: RecordType = RecordType(1302);
    /// A change of the audit configuration.
    pub const CONFIG_CHANGE: RecordType = RecordType(1305);
    /// A socket address.
    pub const SOCKADDR: RecordType = RecordType(1306);
    /// Arguments of an execve.
    pub const EXECVE: RecordType = RecordType(1309);
    /// End of an event; only on netlink.
    pub const EOE: RecordType = RecordType(1320);
    /// The command line of the process.
    pub const PROCTITLE: RecordType = RecordType(1327);

    /// A group was added.
    pub const ADD_GROUP: RecordType = RecordType(1116);
    /// A group was deleted.
    pub const DEL_GROUP: RecordType = RecordType(1117);
    /// A group was changed.
    pub const GRP_MGMT: RecordType = RecordType(1132);
    /// A message queue was opened.
    pub const MQ_OPEN: RecordType = RecordType(1312);
    /// A packet that a rule of the firewall tells of.
    pub const NETFILTER_PKT: RecordType = RecordType(1324);
    /// What seccomp did to a call.
    pub const SECCOMP: RecordType = RecordType(1326);
    /// A request of io_uring.
    pub const URINGOP: RecordType = RecordType(1336);
    /// A decision of a security module.
    pub const AVC: RecordType = RecordType(1400);
    /// A key of a program.
    pub const CRYPTO_KEY_USER: RecordType = RecordType(2404);

    /// The type of a name as logs have it, including `UNKNOWN[1234]`.
    pub fn from_name(name: &[u8]) -> Option<RecordType> {
        static BY_NAME: LazyLock<HashMap<&[u8], u16>> =
            LazyLock::new(|| NAMES.iter().map(|(number, name)| (name.as_bytes(), *number)).collect());
        if let Some(number) = BY_NAME.get(name) {
            return Some(RecordType(*number));
        }
        let number = name.strip_prefix(b"UNKNOWN[")?.strip_suffix(b"]")?;
        std::str::from_utf8(number).ok()?.parse().ok().map(RecordType)
    }

    /// The name, where this version knows one.
    pub fn name(self) -> Option<&'static str> {
        let place = *PLACES.get(usize::from(self.0.checked_sub(FIRST)?))?;
        let (_, name) = NAMES.get(usize::from(place.checked_sub(1)?))?;
        Some(name)
    }

    /// Whether such a record is about something that a call was given, and says nothing of who made it or how it ended.
    pub const fn is_detail(self) -> bool {
        matches!(
            self,
            RecordType::PATH | RecordType::SOCKADDR | RecordType::CWD | RecordType::EXECVE | RecordType::PROCTITLE
        )
    }

    /// Whether such a record is an event of its own, which no end record follows: a message of a program, sent through
    /// the kernel, or what the kernel says outside of system calls. Seccomp decides before auditing of the call begins,
    /// and a process dies of a signal after it ended.
    pub const fn is_single(self) -> bool {
        matches!(self.0, 1005 | 1100..=1299 | 1326 | 1701 | 2000 | 2100..=2999)
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "UNKNOWN[{}]", self.0),
        }
    }
}

/// The lowest number that has a name, and how many there are from it to the highest.
const FIRST: u16 = NAMES[0].0;
const NUMBERS: usize = (NAMES[NAMES.len() - 1].0 - FIRST) as usize + 1;

/// By number from [`FIRST`]: the place in [`NAMES`], from 1. Names are asked for with every record.
static PLACES: [u8; NUMBERS] = places();

const fn places() -> [u8; NUMBERS] {
    assert!(NAMES.len() < 256, "places fit");
    let mut places = [0; NUMBERS];
    let mut at = 0;
    while at < NAMES.len() {
        places[(NAMES[at].0 - FIRST) as usize] = at as u8 + 1;
        at += 1;
    }
    places
}

/// Sorted by number.
const NAMES: &[(u16, &str)] = &[
    (1005, "USER"),
    (1006, "LOGIN"),
    (1100, "USER_AUTH"),
    (1101, "USER_ACCT"),
    (1102, "USER_MGMT"),
    (1103, "CRED_ACQ"),
    (1104, "CRED_DISP"),
    (1105, "USER_START"),
    (1106, "USER_END"),
    (1107, "USER_AVC"),
    (1108, "USER_CHAUTHTOK"),
    (1109, "USER_ERR"),
    (1110, "CRED_REFR"),
    (1111, "USYS_CONFIG"),
    (1112, "USER_LOGIN"),
    (1113, "USER_LOGOUT"),
    (1114, "ADD_USER"),
    (1115, "DEL_USER"),
    (1116, "ADD_GROUP"),
    (1117, "DEL_GROUP"),
    (1118, "DAC_CHECK"),
    (1119, "CHGRP_ID"),
    (1120, "TEST"),
    (1121, "TRUSTED_APP"),
    (1122, "USER_SELINUX_ERR"),
    (1123, "USER_CMD"),
    (1124, "USER_TTY"),
    (1125, "CHUSER_ID"),
    (1126, "GRP_AUTH"),
    (1127, "SYSTEM_BOOT"),
    (1128, "SYSTEM_SHUTDOWN"),
    (1129, "SYSTEM_RUNLEVEL"),
    (1130, "SERVICE_START"),
    (1131, "SERVICE_STOP"),
    (1132, "GRP_MGMT"),
    (1133, "GRP_CHAUTHTOK"),
    (1134, "MAC_CHECK"),
    (1135, "ACCT_LOCK"),
    (1136, "ACCT_UNLOCK"),
    (1137, "USER_DEVICE"),
    (1138, "SOFTWARE_UPDATE"),
    (1200, "DAEMON_START"),
    (1201, "DAEMON_END"),
    (1202, "DAEMON_ABORT"),
    (1203, "DAEMON_CONFIG"),
    (1205, "DAEMON_ROTATE"),
    (1206, "DAEMON_RESUME"),
    (1207, "DAEMON_ACCEPT"),
    (1208, "DAEMON_CLOSE"),
    (1209, "DAEMON_ERR"),
    (1300, "SYSCALL"),
    (1302, "PATH"),
    (1303, "IPC"),
    (1304, "SOCKETCALL"),
    (1305, "CONFIG_CHANGE"),
    (1306, "SOCKADDR"),
    (1307, "CWD"),
    (1309, "EXECVE"),
    (1311, "IPC_SET_PERM"),
    (1312, "MQ_OPEN"),
    (1313, "MQ_SENDRECV"),
    (1314, "MQ_NOTIFY"),
    (1315, "MQ_GETSETATTR"),
    (1316, "KERNEL_OTHER"),
    (1317, "FD_PAIR"),
    (1318, "OBJ_PID"),
    (1319, "TTY"),
    (1320, "EOE"),
    (1321, "BPRM_FCAPS"),
    (1322, "CAPSET"),
    (1323, "MMAP"),
    (1324, "NETFILTER_PKT"),
    (1325, "NETFILTER_CFG"),
    (1326, "SECCOMP"),
    (1327, "PROCTITLE"),
    (1328, "FEATURE_CHANGE"),
    (1330, "KERN_MODULE"),
    (1331, "FANOTIFY"),
    (1332, "TIME_INJOFFSET"),
    (1333, "TIME_ADJNTPVAL"),
    (1334, "BPF"),
    (1335, "EVENT_LISTENER"),
    (1336, "URINGOP"),
    (1337, "OPENAT2"),
    (1338, "DM_CTRL"),
    (1339, "DM_EVENT"),
    (1400, "AVC"),
    (1401, "SELINUX_ERR"),
    (1402, "AVC_PATH"),
    (1403, "MAC_POLICY_LOAD"),
    (1404, "MAC_STATUS"),
    (1405, "MAC_CONFIG_CHANGE"),
    (1406, "MAC_UNLBL_ALLOW"),
    (1407, "MAC_CIPSOV4_ADD"),
    (1408, "MAC_CIPSOV4_DEL"),
    (1409, "MAC_MAP_ADD"),
    (1410, "MAC_MAP_DEL"),
    (1411, "MAC_IPSEC_ADDSA"),
    (1412, "MAC_IPSEC_DELSA"),
    (1413, "MAC_IPSEC_ADDSPD"),
    (1414, "MAC_IPSEC_DELSPD"),
    (1415, "MAC_IPSEC_EVENT"),
    (1416, "MAC_UNLBL_STCADD"),
    (1417, "MAC_UNLBL_STCDEL"),
    (1418, "MAC_CALIPSO_ADD"),
    (1419, "MAC_CALIPSO_DEL"),
    (1420, "IPE_ACCESS"),
    (1421, "IPE_CONFIG_CHANGE"),
    (1422, "IPE_POLICY_LOAD"),
    (1423, "LANDLOCK_ACCESS"),
    (1424, "LANDLOCK_DOMAIN"),
    (1425, "MAC_TASK_CONTEXTS"),
    (1426, "MAC_OBJ_CONTEXTS"),
    (1500, "APPARMOR"),
    (1501, "APPARMOR_AUDIT"),
    (1502, "APPARMOR_ALLOWED"),
    (1503, "APPARMOR_DENIED"),
    (1504, "APPARMOR_HINT"),
    (1505, "APPARMOR_STATUS"),
    (1506, "APPARMOR_ERROR"),
    (1507, "APPARMOR_KILL"),
    (1700, "ANOM_PROMISCUOUS"),
    (1701, "ANOM_ABEND"),
    (1702, "ANOM_LINK"),
    (1703, "ANOM_CREAT"),
    (1800, "INTEGRITY_DATA"),
    (1801, "INTEGRITY_METADATA"),
    (1802, "INTEGRITY_STATUS"),
    (1803, "INTEGRITY_HASH"),
    (1804, "INTEGRITY_PCR"),
    (1805, "INTEGRITY_RULE"),
    (1806, "INTEGRITY_EVM_XATTR"),
    (1807, "INTEGRITY_POLICY_RULE"),
    (1808, "INTEGRITY_USERSPACE"),
    (2000, "KERNEL"),
    (2100, "ANOM_LOGIN_FAILURES"),
    (2101, "ANOM_LOGIN_TIME"),
    (2102, "ANOM_LOGIN_SESSIONS"),
    (2103, "ANOM_LOGIN_ACCT"),
    (2104, "ANOM_LOGIN_LOCATION"),
    (2105, "ANOM_MAX_DAC"),
    (2106, "ANOM_MAX_MAC"),
    (2107, "ANOM_AMTU_FAIL"),
    (2108, "ANOM_RBAC_FAIL"),
    (2109, "ANOM_RBAC_INTEGRITY_FAIL"),
    (2110, "ANOM_CRYPTO_FAIL"),
    (2111, "ANOM_ACCESS_FS"),
    (2112, "ANOM_EXEC"),
    (2113, "ANOM_MK_EXEC"),
    (2114, "ANOM_ADD_ACCT"),
    (2115, "ANOM_DEL_ACCT"),
    (2116, "ANOM_MOD_ACCT"),
    (2117, "ANOM_ROOT_TRANS"),
    (2118, "ANOM_LOGIN_SERVICE"),
    (2119, "ANOM_LOGIN_ROOT"),
    (2120, "ANOM_ORIGIN_FAILURES"),
    (2121, "ANOM_SESSION"),
    (2200, "RESP_ANOMALY"),
    (2201, "RESP_ALERT"),
    (2202, "RESP_KILL_PROC"),
    (2203, "RESP_TERM_ACCESS"),
    (2204, "RESP_ACCT_REMOTE"),
    (2205, "RESP_ACCT_LOCK_TIMED"),
    (2206, "RESP_ACCT_UNLOCK_TIMED"),
    (2207, "RESP_ACCT_LOCK"),
    (2208, "RESP_TERM_LOCK"),
    (2209, "RESP_SEBOOL"),
    (2210, "RESP_EXEC"),
    (2211, "RESP_SINGLE"),
    (2212, "RESP_HALT"),
    (2213, "RESP_ORIGIN_BLOCK"),
    (2214, "RESP_ORIGIN_BLOCK_TIMED"),
    (2215, "RESP_ORIGIN_UNBLOCK_TIMED"),
    (2300, "USER_ROLE_CHANGE"),
    (2301, "ROLE_ASSIGN"),
    (2302, "ROLE_REMOVE"),
    (2303, "LABEL_OVERRIDE"),
    (2304, "LABEL_LEVEL_CHANGE"),
    (2305, "USER_LABELED_EXPORT"),
    (2306, "USER_UNLABELED_EXPORT"),
    (2307, "DEV_ALLOC"),
    (2308, "DEV_DEALLOC"),
    (2309, "FS_RELABEL"),
    (2310, "USER_MAC_POLICY_LOAD"),
    (2311, "ROLE_MODIFY"),
    (2312, "USER_MAC_CONFIG_CHANGE"),
    (2313, "USER_MAC_STATUS"),
    (2400, "CRYPTO_TEST_USER"),
    (2401, "CRYPTO_PARAM_CHANGE_USER"),
    (2402, "CRYPTO_LOGIN"),
    (2403, "CRYPTO_LOGOUT"),
    (2404, "CRYPTO_KEY_USER"),
    (2405, "CRYPTO_FAILURE_USER"),
    (2406, "CRYPTO_REPLAY_USER"),
    (2407, "CRYPTO_SESSION"),
    (2408, "CRYPTO_IKE_SA"),
    (2409, "CRYPTO_IPSEC_SA"),
    (2500, "VIRT_CONTROL"),
    (2501, "VIRT_RESOURCE"),
    (2502, "VIRT_MACHINE_ID"),
    (2503, "VIRT_INTEGRITY_CHECK"),
    (2504, "VIRT_CREATE"),
    (2505, "VIRT_DESTROY"),
    (2506, "VIRT_MIGRATE_IN"),
    (2507, "VIRT_MIGRATE_OUT"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_inverse() {
        assert!(NAMES.windows(2).all(|w| w[0].0 < w[1].0), "sorted, no number twice");
        for (number, name) in NAMES {
            assert_eq!(RecordType::from_name(name.as_bytes()), Some(RecordType(*number)));
            assert_eq!(RecordType(*number).to_string(), *name);
        }
        for number in 0..=u16::MAX {
            let named = NAMES.iter().find(|(n, _)| *n == number).map(|(_, name)| *name);
            assert_eq!(RecordType(number).name(), named);
        }
        let unknown = RecordType(1999);
        assert_eq!(unknown.to_string(), "UNKNOWN[1999]");
        assert_eq!(RecordType::from_name(b"UNKNOWN[1999]"), Some(unknown));
        assert_eq!(RecordType::from_name(b"NO_SUCH_TYPE"), None);
    }
}
