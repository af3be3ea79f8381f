//! A struct in a session: `cargo run -p examples --bin typed`.

use obsession_core::{Error, MemoryStore, SessionManager};
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Basket {
    items: Vec<String>,
    /// Baskets that were stored before this field existed are read all the same.
    #[serde(default)]
    gift: bool,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let manager = SessionManager::new(MemoryStore::new());

    // A first request: there is no session yet, so the basket starts as `Basket::default()`.
    let session = manager.open(None);
    session
        .update("basket", |basket: &mut Basket| {
            basket.items.push("quince".to_owned());
        })
        .await?;
    session.save().await?;
    let id = session.id().await?;

    // A second one, which has the id from its cookie. The guard writes when it is dropped, and only
    // if something changed.
    let session = manager.open(id.clone());
    if let Some(mut basket) = session.get_mut::<Basket>("basket").await? {
        basket.gift = true;
    }
    session.save().await?;

    // A third one takes the basket to the till: of two that try at once, one gets it.
    let session = manager.open(id);
    let basket: Option<Basket> = session.take("basket").await?;
    println!("{basket:?}");
    println!("left behind: {:?}", session.get::<Basket>("basket").await?);
    Ok(())
}
