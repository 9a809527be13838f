//! stub
/// stub
pub const MAX_DEPTH: usize = 16;
/// stub
pub const MAX_MEMBERS: usize = 256;
/// stub
#[derive(Clone, Copy, Debug)]
pub struct Value<'b>(&'b [u8]);
/// stub
#[derive(Debug)]
pub struct Members<'b>(&'b [u8]);
/// stub
#[derive(Debug)]
pub struct Elements<'b>(&'b [u8]);
/// stub
#[derive(Debug)]
pub enum Kind {}
/// stub
/// # Errors
/// stub
pub fn parse(text: &mut [u8]) -> crate::Result<Value<'_>> {
    Ok(Value(text))
}
