#![allow(missing_docs)]
fn main(){ let s=ctrace_trace::schema::Schema::current(); let n=std::fs::read_to_string("/tmp/evnames").unwrap();
 let foreign:Vec<_>=n.lines().filter(|n|s.by_name(n).next().is_none()).collect(); println!("{foreign:?}");
 let p=std::fs::read_to_string("/tmp/evparams").unwrap(); println!("{:?}",p.lines().filter(|n|!s.specs().iter().any(|x|x.param(n).is_some())).collect::<Vec<_>>());let h=s.specs().iter().filter(|s|s.hot).count(); println!("hot {h} of {}",s.specs().len());
 for f in ctrace_trace::catalogue::all(){ if f.ty==ctrace_trace::catalogue::FieldType::List {println!("{}",f.name)}}
 }
