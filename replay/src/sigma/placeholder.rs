//! `%placeholders%`, whose values come from whoever runs the rules.

use std::collections::BTreeMap;

/// Values by the name of their placeholder.
pub(crate) type Placeholders = BTreeMap<String, Vec<String>>;

/// More values than this are not made of one.
const MAX_VALUES: usize = 1 << 16;

/// The values that a text with placeholders stands for; `\%` is a percent sign.
pub(super) fn expand(text: &str, known: &Placeholders) -> Result<Vec<String>, String> {
    let mut out = vec![String::new()];
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let before = rest.get(..at).unwrap_or("");
        let after = rest.get(at + 1..).unwrap_or("");
        if let Some(before) = before.strip_suffix('\\') {
            out.iter_mut().for_each(|o| *o = format!("{o}{before}%"));
            rest = after;
            continue;
        }
        let Some((name, after)) = after.split_once('%') else {
            break;
        };
        let values = known
            .get(name)
            .filter(|values| !values.is_empty())
            .ok_or_else(|| format!("needs values for placeholder '%{name}%'"))?;
        if out.len().saturating_mul(values.len()) > MAX_VALUES {
            return Err("the placeholders make too many values".to_owned());
        }
        let with = |o: &String| values.iter().map(|v| format!("{o}{before}{v}")).collect::<Vec<_>>();
        out = out.iter().flat_map(with).collect();
        rest = after;
    }
    out.iter_mut().for_each(|o| o.push_str(rest));
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_replaced_and_unknown_ones_are_named() {
        let known = Placeholders::from([("a".to_owned(), vec!["1".to_owned(), "2*".to_owned()])]);
        assert_eq!(expand("x%a%y", &known), Ok(vec!["x1y".to_owned(), "x2*y".to_owned()]));
        assert_eq!(
            expand(r"\%plain%a%", &known),
            Ok(vec!["%plain1".to_owned(), "%plain2*".to_owned()])
        );
        assert_eq!(expand("100%", &known), Ok(vec!["100%".to_owned()]));
        assert_eq!(
            expand("%b%", &known),
            Err("needs values for placeholder '%b%'".to_owned())
        );
    }
}
