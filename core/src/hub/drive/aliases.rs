//! Names to which a peer has given numbers: [`Aliases`].

use alloc::string::String;
use alloc::vec::Vec;

#[derive(Default)]
pub(super) struct Aliases(Vec<(u16, String)>);

/// There are as many as there may be.
pub(super) struct Full;

impl Aliases {
    pub(super) fn name(&self, alias: u16) -> Option<&str> {
        let mut known = self.0.iter();
        let (_, name) = known.find(|(known, _)| *known == alias)?;
        Some(name)
    }

    /// Gives a number to a name, of up to `max`; it may have meant another one before.
    pub(super) fn declare(&mut self, alias: u16, text: &str, max: u16) -> Result<(), Full> {
        let full = self.0.len() >= max.into();
        match self.0.iter_mut().find(|(known, _)| *known == alias) {
            Some((_, name)) => *name = text.into(),
            None if full => return Err(Full),
            None => self.0.push((alias, text.into())),
        }
        Ok(())
    }
}
