//! What routes and the server say of each other about who may come in.

use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::load::Item;
use crate::config::load::Read;
use crate::config::spec::ServerSpec;
use crate::policy::keys::Wanted;

/// Checks the routes against the server.
pub(crate) fn check(server: &ServerSpec, reads: &[Read<'_>], findings: &mut Findings) {
    for read in reads {
        let Item::Route(route) = &read.item else { continue };
        let asks = matches!(route.auth, Some(Wanted::Required | Wanted::Optional));
        if let (true, None, Some(entry)) = (asks, &server.auth, read.document.node.entry("auth")) {
            let none = problem(codes::NO_KEYS, "this route looks at keys, and there are none");
            let help = "declare them in aggd.yaml: `auth: { api_keys: [{ name: …, key: … }] }`, or remove this";
            findings.error(&At::document(&read.document.title).key("auth"), entry.value.span, none.help(help));
        }
    }
}
