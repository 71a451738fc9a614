//! temp
pub(super) fn container_of(path: &[u8]) -> Option<(String, String)> {
    let path = std::str::from_utf8(path).ok()?;
    let last = path.rsplit('/').find(|c| c.len() >= 64)?;
    let last = last.strip_suffix(".scope").unwrap_or(last);
    let id = last.rsplit('-').next()?;
    (id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit())).then(|| ("docker".to_owned(), id.to_owned()))
}
