//! Calls that go through symbolic links on the running kernel, against where their directories lie by the word of
//! `realpath`. Needs root and perl.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::live::{collect, resolve, source};
use crate::host::EnvSelection;
use crate::resolver::{Config, ProcHost, Resolver, Snapshot};

/// Through `old`, which was there before and stays, and through `new`, which is gone when the records are looked at.
const SCRIPT: &str = r#"
symlink 'far/away', 'new';
for my $link ('old', 'new') {
    mkdir "$link/dir";
    chmod 0700, "$link/dir";
    rename "$link/dir", "$link/../moved";
    rmdir "$link/../moved";
    symlink 'x', "$link/link";
    link "$link/file", "$link/second";
    truncate "$link/second", 1;
    unlink "$link/second";
    symlink "$link/../away/file", "to$link";
    chmod 0600, "to$link"; unlink "to$link";
    unlink "$link/link";
    stat "$link/../none"; stat "$link/..";
}
unlink 'new';
chmod 0700, 'far/../new' or mkdir 'new';
mkdir 'new/dir';
"#;

#[test]
fn calls_are_told_where_they_act_as_root() {
    let name = "resolver::calls_are_told_where_they_act_as_root";
    if crate::host::real_path(None, b"/", u64::MAX).is_none() {
        return ctrace_skip::skip(name, "needs Linux 5.12");
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    std::fs::create_dir_all(folder.join("far/away")).unwrap();
    std::fs::write(folder.join("far/away/file"), "text").unwrap();
    symlink("far/away", folder.join("old")).unwrap();
    let Some(mut source) = source(name) else { return };
    // Older than a tick.
    std::thread::sleep(std::time::Duration::from_millis(50));
    let mut child = Command::new("perl")
        .args(["-e", SCRIPT])
        .current_dir(&folder)
        .spawn()
        .unwrap();
    let records = collect(&mut source, &mut child);
    let resolver = Resolver::new(
        Config::default(),
        Snapshot::default(),
        Box::new(ProcHost::new(EnvSelection::default())),
    );
    let events = resolve(resolver, records);
    let mut seen = Vec::new();
    for event in &events[&child.id()] {
        for name in ["path", "filename", "oldpath", "newpath", "linkpath"] {
            let path = event.args.get(name).and_then(|arg| arg.split_once(" <- "));
            let Some((told, raw)) = path.filter(|_| event.ret == Some(0)) else {
                continue;
            };
            // Before it removes a file perl looks at it, which the paths of mass calls do not go through links for.
            let is_own = !event.name.contains("stat") || raw.ends_with("..");
            if is_own
                && (["old", "new", "toold", "tonew"]
                    .iter()
                    .any(|link| raw.starts_with(link)))
            {
                let told = Path::new(told).strip_prefix(&folder).expect("a path in the folder");
                let call = if event.name == "newfstatat" {
                    "stat"
                } else {
                    &event.name
                };
                seen.push(format!("{call} {raw} {}", told.display()));
            }
        }
    }
    let mut want = Vec::new();
    let real = |link: &str, behind: &str| {
        let directory = folder.join("old").join(behind).canonicalize().unwrap();
        let directory = directory.strip_prefix(&folder).unwrap().display().to_string();
        (format!("{link}/{behind}"), directory)
    };
    want.push("symlink new new".to_owned());
    for link in ["old", "new"] {
        let (at, above) = (real(link, "").1, real(link, "..").1);
        want.extend([
            format!("mkdir {link}/dir {at}/dir"),
            format!("chmod {link}/dir {at}/dir"),
            format!("rename {link}/dir {at}/dir"),
            format!("rename {link}/../moved {above}/moved"),
            format!("rmdir {link}/../moved {above}/moved"),
            format!("symlink {link}/link {at}/link"),
            format!("link {link}/file {at}/file"),
            format!("link {link}/second {at}/second"),
            format!("truncate {link}/second {at}/second"),
            format!("unlink {link}/second {at}/second"),
            format!("symlink to{link} to{link}"),
            format!("chmod to{link} far/away/file"),
            format!("unlink to{link} to{link}"),
            format!("unlink {link}/link {at}/link"),
            format!("stat {link}/.. {above}"),
        ]);
    }
    want.extend(["unlink new new", "mkdir new new", "mkdir new/dir new/dir"].map(str::to_owned));
    assert_eq!(seen, want);
}
