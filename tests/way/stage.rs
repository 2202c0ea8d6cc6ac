//! The site that these tests share, and which tenants belong to whom.
//!
//! Always: whoever holds the stage is alone on it.

#[path = "../support/stage.rs"]
mod site;

use nakatsugi::{cli::demo::Layout, identifier::TenantCode};
pub(crate) use site::{Answers, BINARY, PATIENCE, Running, Stage, Voice, categories, now, silent};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

const FUJISAWA: &str = "142051";
const YOKOHAMA: &str = "141003";

/// Every tenant of the site, and who uses it.
const TENANTS: [site::Town; 18] = [
    (FUJISAWA, ("藤沢市", "Fujisawa")),
    (YOKOHAMA, ("横浜市", "Yokohama")),
    ("140007", ("神奈川県", "Kanagawa")),
    ("011002", ("札幌市", "Sapporo")),
    ("131016", ("千代田区", "Chiyoda")),
    ("271004", ("大阪市", "Osaka City")),
    ("401307", ("福岡市", "Fukuoka")),
    ("012025", ("函館市", "Hakodate")),
    ("470007", ("沖縄県", "Okinawa")),
    ("220001", ("静岡県", "Shizuoka")),
    ("270008", ("大阪府", "Osaka")),
    ("230006", ("愛知県", "Aichi")),
    ("340006", ("広島県", "Hiroshima")),
    ("141305", ("川崎市", "Kawasaki")),
    ("280003", ("兵庫県", "Hyogo")),
    ("400009", ("福岡県", "Fukuoka Prefecture")),
    ("260002", ("京都府", "Kyoto")),
    ("231002", ("名古屋市", "Nagoya")),
];

/// The tenants of one test, which no other test uses.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Of {
    Kills,
    Damage,
    Order,
    Canaries,
    Others,
    Suspects,
    Pairs,
    Rotation,
    Attachments,
    /// By a daemon that is broken on purpose: what it leaves is of no use to another.
    #[cfg(feature = "sabotage")]
    Red,
}

impl Of {
    /// The first, and if there is a second, that too.
    pub(crate) fn tenants(self) -> (TenantCode, TenantCode) {
        let (one, two) = match self {
            Self::Kills => (FUJISAWA, YOKOHAMA),
            Self::Damage => ("140007", "011002"),
            Self::Order => ("131016", "131016"),
            Self::Canaries => ("271004", "401307"),
            Self::Others => ("012025", "470007"),
            Self::Suspects => ("230006", "340006"),
            Self::Pairs => ("141305", "141305"),
            Self::Rotation => ("280003", "400009"),
            Self::Attachments => ("260002", "231002"),
            #[cfg(feature = "sabotage")]
            Self::Red => ("220001", "270008"),
        };
        (one.parse().unwrap(), two.parse().unwrap())
    }
}

/// Waits for the stage to be free; the first one builds it.
pub(crate) async fn stage() -> MutexGuard<'static, Stage> {
    static STAGE: OnceCell<Mutex<Stage>> = OnceCell::const_new();
    STAGE.get_or_init(|| async { Mutex::new(Stage::build("way", &TENANTS, &Layout::default(), |_| ()).await) }).await.lock().await
}
