//! Which route a request is for.

use http::Method;
use percent_encoding::percent_decode_str;

/// Everything of the data plane, by path and method.
#[derive(Debug, Default)]
pub(crate) struct RouteTable {
    paths: matchit::Router<Vec<(Method, Target)>>,
}

/// What a path of the data plane leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// A configured route, or the built-in `/aggregate`: the place of it in the plan.
    Route(usize),
    /// `/aggregate/{source}`.
    Single,
}

/// How a path and method were found.
#[derive(Debug)]
pub(crate) enum Matched {
    /// The target, and the path's parameters, percent-decoded.
    Found(Target, Vec<(String, String)>),
    /// The path is known; these are its methods.
    WrongMethod(Vec<Method>),
    /// A path parameter is not UTF-8 once decoded.
    BadPath,
    /// No such path in the data plane.
    Unknown,
}

impl RouteTable {
    /// Adds a target. `Err`: the path clashes with another; validation reports that before it can happen here.
    pub(crate) fn add(&mut self, path: &str, method: Method, target: Target) -> Result<(), matchit::InsertError> {
        if let Ok(known) = self.paths.at_mut(path)
            && known
                .params
                .iter()
                .all(|(name, value)| value.trim_start_matches(['{', '*']).trim_end_matches('}') == name)
        {
            known.value.push((method, target));
            return Ok(());
        }
        self.paths.insert(path, vec![(method, target)])
    }

    /// The methods of a path; `None`: it is unknown.
    pub(crate) fn methods(&self, path: &str) -> Option<Vec<Method>> {
        let found = self.paths.at(path).ok()?;
        Some(found.value.iter().map(|(known, _)| known.clone()).collect())
    }

    /// Finds the target of a request. HEAD is answered by GET.
    pub(crate) fn find(&self, path: &str, method: &Method) -> Matched {
        let Ok(found) = self.paths.at(path) else { return Matched::Unknown };
        let wanted = if method == Method::HEAD { &Method::GET } else { method };
        let Some((_, target)) = found.value.iter().find(|(known, _)| known == wanted) else {
            return Matched::WrongMethod(self.methods(path).unwrap_or_default());
        };
        let mut params = Vec::with_capacity(found.params.len());
        for (name, raw) in found.params.iter() {
            let Ok(value) = percent_decode_str(raw).decode_utf8() else { return Matched::BadPath };
            params.push((name.to_owned(), value.into_owned()));
        }
        Matched::Found(*target, params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> RouteTable {
        let mut table = RouteTable::default();
        table.add("/aggregate/{source}", Method::GET, Target::Single).unwrap();
        table.add("/cities/{city}", Method::GET, Target::Single).unwrap();
        table.add("/cities/{city}", Method::POST, Target::Single).unwrap();
        table
    }

    #[test]
    fn two_methods_share_a_path_and_head_is_get() {
        let table = table();
        for method in [Method::GET, Method::HEAD, Method::POST] {
            assert!(matches!(table.find("/cities/Berlin", &method), Matched::Found(..)), "{method}");
        }
        let Matched::WrongMethod(known) = table.find("/cities/Berlin", &Method::PUT) else { panic!("found") };
        assert_eq!(known, [Method::GET, Method::POST]);
        assert!(matches!(table.find("/towns/Berlin", &Method::GET), Matched::Unknown));
    }

    #[test]
    fn path_parameters_arrive_decoded() {
        let table = table();
        let Matched::Found(_, params) = table.find("/cities/S%C3%A3o%20Paulo%2F", &Method::GET) else {
            panic!("unknown")
        };
        assert_eq!(params, [("city".to_owned(), "São Paulo/".to_owned())]);
        assert!(matches!(table.find("/cities/%FF", &Method::GET), Matched::BadPath));
    }
}
