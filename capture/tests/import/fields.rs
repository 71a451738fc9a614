//! What records of other tools tell of processes and containers has the names of this project's fields.
//!
//! The records are made up in the shapes that the tools write; which versions were looked at stands in docs/formats.md.

use ctrace_trace::block::Need;
use ctrace_trace::catalogue::{self, FieldArg};
use ctrace_trace::segment::BlockReader;

use crate::imported::import_bytes;

/// The fields of the last event that a log tells.
fn last(log: &str, names: &[&str]) -> Vec<String> {
    let imported = import_bytes(log.as_bytes());
    let bad: Vec<u64> = imported.outcome.files.iter().map(|f| f.bad + f.unknown).collect();
    assert_eq!(bad, [0], "{log}");
    let mut told = Vec::new();
    let mut reader = BlockReader::new();
    for block in imported.case.blocks() {
        let decoded = reader.read(block, Need::ALL).unwrap_or_else(|p| panic!("{p}"));
        let events = decoded
            .events()
            .filter(|e| e.spec().is_some_and(|s| s.name != "imported"));
        if let Some(event) = events.last() {
            let fields = names
                .iter()
                .map(|name| catalogue::find(name).unwrap_or_else(|| panic!("{name}")));
            told = fields
                .map(|field| field.of(event, &FieldArg::None).to_string())
                .collect();
        }
    }
    told
}

/// Asserts what the last event of a log has.
fn has(log: &str, fields: &[(&str, &str)]) {
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    let told = last(log, &names);
    let told: Vec<(&str, &str)> = names.iter().copied().zip(told.iter().map(String::as_str)).collect();
    assert_eq!(told, fields, "{log}");
}

#[test]
fn tetragon() {
    let process = r#""process":{"pid":77,"tid":78,"uid":33,"auid":1000,"cwd":"/srv","binary":"/usr/bin/php","arguments":"-S :80","user":{"name":"www-data"},"cap":{"permitted":["CAP_CHOWN","DAC_OVERRIDE"],"effective":["CAP_CHOWN"]},"process_credentials":{"uid":1000,"gid":1001,"euid":33,"egid":34},"environment_variables":[{"Key":"LD_PRELOAD","Value":"/tmp/x.so"}],"pod":{"namespace":"shop","name":"web-0","uid":"u-7","container":{"id":"containerd://c0ffee0123456789","name":"web","image":{"id":"reg/shop@sha256:aa","name":"reg/shop:2"},"start_time":"2026-11-22T22:00:00Z","pid":9}}},"parent":{"pid":70,"uid":0,"binary":"/bin/sh"}"#;
    let time = r#""node_name":"n1","time":"2026-11-22T22:26:40.5Z""#;
    has(
        &format!("{{\"process_exec\":{{{process}}},{time}}}\n"),
        &[
            ("thread.tid", "78"),
            ("proc.pid", "77"),
            ("proc.vpid", "9"),
            ("proc.ppid", "70"),
            ("proc.pname", "sh"),
            ("user.uid", "33"),
            ("user.ruid", "1000"),
            ("user.name", "www-data"),
            ("user.loginuid", "1000"),
            ("group.gid", "34"),
            ("group.rgid", "1001"),
            ("thread.cap_permitted", "CAP_CHOWN CAP_DAC_OVERRIDE"),
            ("thread.cap_effective", "CAP_CHOWN"),
            ("thread.cap_inheritable", ""),
            ("proc.cmdline", "php -S :80"),
            ("proc.cwd", "/srv"),
            ("container.full_id", "c0ffee0123456789"),
            ("container.image", "reg/shop:2"),
            ("container.image.digest", "sha256:aa"),
            ("k8s.pod.name", "web-0"),
            ("k8s.ns.name", "shop"),
            ("k8s.pod.uid", "u-7"),
            ("log.message", "/usr/bin/php -S :80"),
        ],
    );
    for (rest, message) in [
        (
            r#""function_name":"tcp_connect","args":[{"sock_arg":{"saddr":"10.0.0.1","sport":5,"daddr":"10.0.0.2","dport":443}}],"return":{"int_arg":-1},"message":"Connects""#,
            "Connects: tcp_connect(10.0.0.1:5->10.0.0.2:443) = -1",
        ),
        (
            r#""subsys":"raw_syscalls","event":"sys_exit","args":[{"long_arg":3}]"#,
            "raw_syscalls/sys_exit(3)",
        ),
        (
            r#""function_name":"security_socket_connect","args":[{"sockaddr_arg":{"addr":"10.0.0.2","port":53}}]"#,
            "security_socket_connect(10.0.0.2:53)",
        ),
        (
            r#""source_ip":"10.0.0.1","source_port":5,"destination_ip":"10.0.0.2","destination_port":443,"protocol":"TCP""#,
            "TCP 10.0.0.1:5->10.0.0.2:443",
        ),
        (r#""status":7"#, "/usr/bin/php -S :80 (status 7)"),
        (r#""signal":"SIGKILL""#, "/usr/bin/php -S :80 (SIGKILL)"),
    ] {
        has(
            &format!("{{\"process_kprobe\":{{{process},{rest}}},{time}}}\n"),
            &[("log.message", message), ("user.uid", "33"), ("proc.pname", "sh")],
        );
    }
    // What the agent says of itself has no process, and a program may take the place of the one before it.
    has(
        "{\"process_throttle\":{\"type\":\"THROTTLE_START\",\"cgroup\":\"user.slice\"},\"time\":\"2026-11-22T22:26:40Z\"}\n",
        &[("log.type", "process_throttle"), ("proc.pid", "<NA>")],
    );
    has(
        "{\"process_exec\":{\"process\":{\"pid\":5,\"binary\":\"/bin/b\"},\"parent\":{\"pid\":5,\"binary\":\"/bin/a\"}},\"time\":\"2026-11-22T22:26:40Z\"}\n",
        &[("proc.pid", "5"), ("proc.exepath", "/bin/b"), ("proc.pname", "<NA>")],
    );
}

#[test]
fn tracee() {
    // As versions before 0.13 wrote it.
    let before = r#"{"timestamp":1795386400123456789,"processId":7,"threadId":8,"parentProcessId":1,"hostProcessId":4242,"hostThreadId":4243,"hostParentProcessId":4200,"userId":0,"processName":"dpkg","containerId":"ae95a93ce0c2","containerImage":"ubuntu:22.04","containerName":"app","podName":"app-0","podNamespace":"shop","podUID":"u-7","eventId":"6018","eventName":"dropped_executable","argsNum":0,"returnValue":0,"args":[]}"#;
    has(
        &format!("{before}\n"),
        &[
            ("thread.tid", "4243"),
            ("proc.pid", "4242"),
            ("container.name", "app"),
            ("container.image", "ubuntu:22.04"),
            ("k8s.pod.name", "app-0"),
            ("k8s.ns.name", "shop"),
            ("k8s.pod.uid", "u-7"),
        ],
    );
    let exec = r#"{"timestamp":1795386400123456789,"processId":7,"hostProcessId":4242,"hostThreadId":4242,"hostParentProcessId":4200,"userId":0,"processName":"ls","eventId":"715","eventName":"sched_process_exec","returnValue":0,"args":[{"name":"cmdpath","type":"const char*","value":"/usr/bin/ls"},{"name":"pathname","type":"const char*","value":"/usr/bin/ls"},{"name":"argv","type":"const char**","value":["ls","-la"]}]}"#;
    has(
        &format!("{exec}\n"),
        &[("proc.exepath", "/usr/bin/ls"), ("proc.cmdline", "ls -la")],
    );
    let now = r#"{"timestamp":"2026-11-22T22:26:40.5Z","id":"sched_process_exec","name":"sched_process_exec","workload":{"process":{"executable":{"path":"/usr/bin/ls"},"host_pid":4242,"pid":7,"real_user":{"id":1000},"thread":{"name":"ls","host_tid":4243,"tid":8},"ancestors":[{"pid":4200}]}},"data":[{"name":"pathname","str":"/usr/bin/ls"},{"name":"argv","str_array":{"value":["ls","-la"]}}]}"#;
    has(
        &format!("{now}\n"),
        &[
            ("thread.tid", "4243"),
            ("proc.ppid", "4200"),
            ("user.uid", "1000"),
            ("proc.cmdline", "ls -la"),
        ],
    );
}

#[test]
fn laurel() {
    let syscall = r#""SYSCALL":{"arch":"0xc000003e","syscall":59,"success":"yes","exit":0,"ppid":900,"pid":901,"auid":4294967295,"uid":1000,"gid":1000,"euid":0,"egid":1000,"comm":"date","exe":"/usr/bin/d%c3%28te","ARCH":"x86_64","SYSCALL":"execve","AUID":"unset","UID":"ann","EUID":"root""#;
    let rest = r#""EXECVE":{"argc":2,"ARGV":["date","%2b%25s"],"ENV":{"LD_PRELOAD":"/tmp/x.so"}}"#;
    has(
        &format!(
            "{{\"ID\":\"1795300001.104:71\",{syscall},\"PID\":{{\"EVENT_ID\":\"1795300001.104:71\",\"container\":{{\"id\":\"c0ffee0123456789\"}}}},\"PPID\":{{\"EVENT_ID\":\"1795300000.000:60\",\"comm\":\"bash\",\"exe\":\"/bin/bash\",\"ppid\":800}}}},{rest}}}\n"
        ),
        &[
            ("proc.cmdline", "date +%s"),
            ("proc.pname", "bash"),
            ("proc.ppid", "900"),
            ("user.name", "root"),
            ("user.loginuid", "-1"),
            ("user.loginname", "<NA>"),
            ("container.full_id", "c0ffee0123456789"),
        ],
    );
    has(
        &format!(
            "{{\"ID\":\"1795300001.104:71\",{syscall},\"SPAWNED_BY\":{{\"pid\":900,\"comm\":\"cron\",\"exe\":\"/usr/sbin/cron\"}}}},{rest},\"CONTAINER_INFO\":{{\"ID\":\"beef0123456789\"}}}}\n"
        ),
        &[("proc.pname", "cron"), ("container.full_id", "beef0123456789")],
    );
}

#[test]
fn sysmon() {
    let event = |number: u32, data: &str| {
        format!(
            "<Event><System><Provider Name=\"Linux-Sysmon\"/><EventID>{number}</EventID><TimeCreated SystemTime=\"2026-11-22T22:26:40.500000000Z\"/></System><EventData><Data Name=\"UtcTime\">2026-11-22 22:26:40.123</Data>{data}</EventData></Event>\n"
        )
    };
    let data = |pairs: &[(&str, &str)]| -> String {
        let all = pairs
            .iter()
            .map(|(name, value)| format!("<Data Name=\"{name}\">{value}</Data>"));
        all.collect()
    };
    let connect = [
        ("ProcessId", "434"),
        ("Image", "/opt/agent"),
        ("User", "<NA>"),
        ("Protocol", "tcp"),
        ("SourceIp", "10.0.0.1"),
        ("SourcePort", "54392"),
        ("DestinationIp", "10.0.0.2"),
        ("DestinationPort", "443"),
    ];
    has(
        &event(3, &data(&connect)),
        &[
            ("log.type", "NetworkConnect"),
            ("log.message", "tcp 10.0.0.1:54392->10.0.0.2:443"),
            ("proc.name", "agent"),
        ],
    );
    let access = [
        ("SourceProcessId", "77"),
        ("SourceImage", "/usr/bin/gdb"),
        ("TargetProcessId", "99"),
        ("TargetImage", "/usr/sbin/sshd"),
        ("SourceUser", "root"),
    ];
    has(
        &event(10, &data(&access)),
        &[
            ("log.type", "ProcessAccess"),
            ("log.message", "/usr/sbin/sshd"),
            ("proc.pid", "77"),
            ("proc.name", "gdb"),
            ("user.name", "root"),
        ],
    );
}

#[test]
fn auditbeat() {
    let head = r#""@timestamp":"2026-11-22T22:26:40.500Z","agent":{"type":"auditbeat","version":"8.2.0"}"#;
    has(
        &format!(
            "{{{head},\"auditd\":{{\"data\":{{\"syscall\":\"execve\"}},\"message_type\":\"syscall\",\"result\":\"success\",\"sequence\":9}},\"event\":{{\"module\":\"auditd\"}},\"process\":{{\"executable\":\"/bin/uname\",\"name\":\"uname\",\"pid\":10043,\"title\":\"uname -a\"}},\"tags\":[\"preserve_original_event\",\"auditd_manager-auditd\",\"user_commands\"]}}\n"
        ),
        &[("audit.key", "user_commands"), ("proc.cmdline", "uname -a")],
    );
    // As version 6.0 wrote it.
    has(
        "{\"@timestamp\":\"2017-10-12T08:05:34.853Z\",\"auditd\":{\"data\":{\"op\":\"login\"},\"result\":\"fail\",\"sequence\":19955,\"session\":\"unset\"},\"beat\":{\"name\":\"h\"},\"event\":{\"action\":\"logged-in\",\"module\":\"auditd\",\"type\":\"user_login\"},\"process\":{\"exe\":\"/usr/sbin/sshd\",\"pid\":\"12635\"},\"user\":{\"auid\":\"unset\",\"name_map\":{\"uid\":\"root\"},\"uid\":\"0\"}}\n",
        &[
            ("evt.type", "audit"),
            ("audit.success", "no"),
            ("proc.pid", "12635"),
            ("user.name", "root"),
            ("user.loginuid", "-1"),
        ],
    );
}

#[test]
fn go_audit() {
    let group = r#"{"sequence":71,"timestamp":"1795300000.123","messages":[{"type":1300,"data":"arch=c000003e syscall=59 success=yes exit=0 ppid=812 pid=900 auid=1000 uid=0 gid=0 euid=0 egid=0 ses=3 comm=\"cat\" exe=\"/usr/bin/cat\" key=(null)","containers":{"id":"c0ffee0123456789","image":"reg/shop:2","name":"web","pod_uid":"u-7","pod_name":"web-0","pod_namespace":"shop"}},{"type":1309,"data":"argc=1 a0=\"cat\""}],"uid_map":{"0":"root"}}"#;
    has(
        &format!("{group}\n"),
        &[
            ("proc.name", "cat"),
            ("container.full_id", "c0ffee0123456789"),
            ("container.image", "reg/shop:2"),
            ("k8s.pod.name", "web-0"),
            ("k8s.pod.uid", "u-7"),
        ],
    );
}
