//! Who a thread is: ids and capabilities, which a call may have changed for it alone.

use ctrace_wire::section::{self, Credentials};

use crate::{
    file,
    read::{member, pointer},
    scratch::Writer,
};

/// Appends the credentials by which a task acts on others.
#[inline(never)]
pub fn describe(writer: Writer, task: usize) {
    let cred = pointer!(task, task_cred);
    if cred == 0 {
        return;
    }
    // SAFETY: the writer gives room for one Credentials.
    writer.structure::<Credentials>(section::CREDENTIALS, |to| unsafe {
        (*to).uid = member!(cred, cred_uid, u32::MAX);
        (*to).gid = member!(cred, cred_gid, u32::MAX);
        (*to).euid = member!(cred, cred_euid, u32::MAX);
        (*to).egid = member!(cred, cred_egid, u32::MAX);
        (*to).cap_permitted = member!(cred, cred_cap_permitted, u64::MAX);
        (*to).cap_effective = member!(cred, cred_cap_effective, u64::MAX);
        (*to).cap_inheritable = member!(cred, cred_cap_inheritable, u64::MAX);
        (*to).user_ns = member!(pointer!(cred, cred_user_ns), user_ns_inum, u32::MAX);
        (*to).shared = file::shared(task);
    });
}
