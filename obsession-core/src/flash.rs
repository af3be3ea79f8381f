//! Messages for the next page.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Session};

/// The entry that holds them, oldest first.
const FLASH: &str = "flash";

impl Session {
    /// Leaves a message for the next page that shows them. It stands in the entry `flash`, with those
    /// that others leave at the same time.
    ///
    /// ```
    /// # use obsession_core::{MemoryStore, SessionManager};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), obsession_core::Error> {
    /// # let session = SessionManager::new(MemoryStore::new()).open(None);
    /// session.flash("Your quinces are on their way.".to_owned()).await?;
    ///
    /// // On the page that the browser is sent to:
    /// assert_eq!(session.take_flashes::<String>().await?, ["Your quinces are on their way."]);
    /// assert!(session.take_flashes::<String>().await?.is_empty());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`update`](Self::update): [`Error::Decode`] if there are messages of another type.
    pub async fn flash<T>(&self, message: T) -> Result<(), Error>
    where
        T: Serialize + DeserializeOwned + Clone + Send + 'static,
    {
        let add = move |all: &mut Vec<T>| all.push(message.clone());
        self.update(FLASH, add).await
    }

    /// Takes all messages, oldest first, for exactly one of the pages that ask at the same time. If
    /// there are any, everything that was changed so far is saved with it, here and now.
    ///
    /// # Errors
    ///
    /// As for [`take`](Self::take).
    pub async fn take_flashes<T: DeserializeOwned>(&self) -> Result<Vec<T>, Error> {
        Ok(self.take(FLASH).await?.unwrap_or_default())
    }
}
