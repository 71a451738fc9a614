//! Names that lead on from directories which got other paths meanwhile, on the running kernel: what is removed is told where it
//! was. Needs root and perl.

use std::path::Path;
use std::process::Command;

use super::live::{collect, resolve, source};
use crate::host::EnvSelection;
use crate::resolver::{Config, ProcHost, Resolver, Snapshot};

/// Its argument is the folder. Each file that is removed bears the name of what was done before.
const SCRIPT: &str = r#"
my $folder = shift;
my ($here, $directory) = (-100, 0200000);
sub done { $_[0] >= 0 or die "$_[1]: $!" }
sub put { open my $file, '>', $_[0] or die $! }
sub mounted { done(syscall(165, @_), 'mount') }
mkdir "$folder/$_" or die $! for 'a', 'a/sub', 'other', 'jail', 'jail/in', 'm', 'n', 'r';
put("$folder/a/sub/$_") for 'renamed', 'behind', 'by_other', 'entered';
put("$folder/other/$_") for 'exchanged', 'pivoted';
put("$folder/jail/in/chrooted");

chdir "$folder/a/sub";
my $fd = syscall(257, $here, my $dot = '.', $directory, 0);
rename "$folder/a", "$folder/b" or die $!;
unlink 'renamed' or die $!;
done(syscall(263, $fd, my $behind = 'behind', 0), 'unlinkat');
mkdir "$folder/a"; mkdir "$folder/a/sub";
done(syscall(81, $fd), 'fchdir');
unlink 'entered' or die $!;

pipe my $read, my $write;
if (!fork) { sysread $read, my $byte, 1; unlink 'by_other' or die $!; exit }
rename "$folder/b", "$folder/c" or die $!;
syswrite $write, 'x';
wait;

chdir "$folder/c/sub";
my ($one, $two) = ("$folder/c/sub", "$folder/other");
put('exchanged'); put('pivoted');
done(syscall(316, $here, $one, $here, $two, 2), 'renameat2');
unlink 'exchanged' or die $!;

if (!fork) {
    chroot "$folder/jail" or die $!;
    unlink '/in/chrooted' or die $!;
    exit;
}
wait;

done(syscall(272, 0x20000), 'unshare');
my ($none, $tmpfs, $root) = ('none', 'tmpfs', '/');
mounted($none, $root, 0, 0x44000, 0);
my ($m, $n, $r, $old) = map { "$folder/$_" } 'm', 'n', 'r', 'r/old';
mounted($none, $m, $tmpfs, 0, 0);
put("$m/$_") for 'moved', 'unmounted';
chdir $m;
mounted($m, $n, 0, 0x2000, 0);
unlink 'moved' or die $!;
done(syscall(166, $n, 2), 'umount2');
unlink 'unmounted' or die $!;

mounted($none, $r, $tmpfs, 0, 0);
mkdir $old;
chdir "$folder/other";
done(syscall(155, $r, $old), 'pivot_root');
unlink 'pivoted' or die $!;
"#;

#[test]
fn what_is_named_from_a_directory_that_moved_is_told_where_it_is_as_root() {
    let name = "resolver::what_is_named_from_a_directory_that_moved_is_told_where_it_is_as_root";
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let Some(mut source) = source(name) else { return };
    let mut child = Command::new("perl")
        .args(["-e", SCRIPT])
        .arg(&folder)
        .current_dir(&folder)
        .spawn()
        .unwrap();
    let records = collect(&mut source, &mut child);
    assert!(child.wait().unwrap().success(), "the script ran to its end");
    let host = ProcHost::new(EnvSelection::default());
    let resolver = Resolver::new(Config::default(), Snapshot::default(), Box::new(host));
    let events = resolve(resolver, records);
    let mut told = Vec::new();
    let of_script = |pid: &u32, ppid: u32| *pid == child.id() || ppid == child.id();
    for (pid, events) in &events {
        for event in events {
            let removes = matches!(event.name.as_str(), "unlink" | "unlinkat") && event.ret == Some(0);
            if removes && of_script(pid, event.image().ppid) {
                let path = event.args.get("path").or(event.args.get("name")).expect("a path");
                told.push(path.split_once(" <- ").expect("what was written, too").0.to_owned());
            }
        }
    }
    told.sort();
    let below = |place: &str| folder.join(place).display().to_string();
    let mut want = vec![
        below("b/sub/renamed"),
        below("b/sub/behind"),
        below("b/sub/entered"),
        below("c/sub/by_other"),
        below("other/exchanged"),
        below("jail/in/chrooted"),
        below("n/moved"),
        "(unreachable)/unmounted".to_owned(),
        Path::new("/old")
            .join(below("other/pivoted").trim_start_matches('/'))
            .display()
            .to_string(),
    ];
    want.sort();
    assert_eq!(told, want);
}
