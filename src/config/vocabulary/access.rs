//! The keys of who may ask, and of how important a request is.

use crate::config::vocabulary::Block;
use crate::config::vocabulary::Kind;
use crate::config::vocabulary::key;

/// The classes of requests.
pub(crate) const PRIORITIES: Kind = Kind::OneOf(&["low", "normal", "high", "critical"]);

/// `auth:` of the server.
pub(crate) static ACCESS: Block = Block {
    keys: &[
        key("api_keys", Kind::List(&Kind::Block(&API_KEY)), "", "the keys that clients may show").required(),
        key("required", Kind::Switch, "true", "whether a request without a key is refused"),
    ],
    also: None,
    not_yet: &["jwt"],
};

static API_KEY: Block = Block {
    keys: &[
        key("name", Kind::Name, "", "the key's own name").required(),
        key("key", Kind::Text, "", "sent as `X-Api-Key: …` or `Authorization: Bearer …`").required().secret(),
        key("tenant", Kind::Text, "(the name)", "whom it stands for; several keys may stand for one tenant"),
        key("max_priority", PRIORITIES, "(as without a key)", "the most important class that it may ask for"),
    ],
    also: None,
    not_yet: &[],
};
