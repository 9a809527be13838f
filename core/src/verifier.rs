//! stub
/// stub
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey<'a>(&'a [u8]);
impl<'a> PublicKey<'a> {
    /// stub
    /// # Errors
    /// stub
    pub fn from_spki(der: &'a [u8]) -> crate::Result<Self> {
        Ok(Self(der))
    }
}
