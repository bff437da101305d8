//! One call: send, follow redirects, read the answer under its limits.

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Uri;
use http::header::CONNECTION;
use http::header::CONTENT_ENCODING;
use http::header::CONTENT_LENGTH;
use http::header::HeaderName;
use http::response::Parts;
use http::uri::Scheme;
use http_body_util::Full;
use hyper::body::Incoming;
use url::Host;
use url::Url;

use crate::outbound::client::Client;
use crate::outbound::decompress;
use crate::outbound::error::CallError;
use crate::outbound::read;
use crate::outbound::read::ReadLimits;
use crate::outbound::redirect;
use crate::outbound::script::ScriptedBody;

/// What is sent.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Absolute. Cheapest from parts: scheme and authority parsed once, path and query per call.
    pub(crate) url: Uri,
    /// Values that are credentials are marked sensitive: a redirect to another origin goes without them. `User-Agent`
    /// and `Accept-Encoding` are added where missing; hop-by-hop headers and `Content-Length` are taken out.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What came back, whatever its status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// Decompressed, and no larger than the cap.
    pub(crate) body: Bytes,
}

enum Payload {
    Direct(Incoming),
    Reqwest(reqwest::Body),
    Scripted(ScriptedBody),
}

impl Client {
    /// One exchange, and as many redirects as are allowed. With `redirects: 0` a redirect is the answer.
    ///
    /// Dropping the future cancels the call: nothing is left running but, perhaps, a connection attempt that the next
    /// call can use, which `connect_timeout` ends. An HTTP/1.1 connection in use closes.
    ///
    /// # Errors
    ///
    /// Whatever leaves no answer, or not all of it; [`CallError::kind`] sorts it.
    pub(crate) async fn exchange(
        &self,
        mut call: Call,
        limits: ReadLimits,
        redirects: u32,
    ) -> Result<Answer, CallError> {
        self.dress(&mut call);
        let mut left = redirects;
        let (mut head, payload) = loop {
            if redirects == 0 {
                break self.send(call).await?;
            }
            let (head, payload) = self.send(call.clone()).await?;
            let Some(next) = redirect::next(&call, head.status.as_u16(), &head.headers)? else {
                break (head, payload);
            };
            left = left.checked_sub(1).ok_or(CallError::TooManyRedirects { limit: redirects })?;
            call = next;
        };
        let body = match payload {
            Payload::Direct(body) => read::whole(body, limits).await?,
            Payload::Reqwest(body) => Box::pin(read::whole(body, limits)).await?,
            Payload::Scripted(body) => Box::pin(read::whole(body, limits)).await?,
        };
        let body = if head.headers.contains_key(CONTENT_ENCODING) {
            // Boxed: a decoder's state is large.
            Box::pin(decompress::decoded(&mut head.headers, body, limits.max_response_bytes)).await?
        } else {
            body
        };
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }

    /// Makes the headers those that are sent.
    fn dress(&self, call: &mut Call) {
        strip(&mut call.headers);
        if call.headers.is_empty() {
            call.headers.clone_from(&self.recipe.headers);
        } else {
            for (name, value) in &self.recipe.headers {
                if !call.headers.contains_key(name) {
                    call.headers.insert(name.clone(), value.clone());
                }
            }
        }
        if call.body.is_empty() && matches!(call.method, Method::POST | Method::PUT | Method::PATCH) {
            // hyper says nothing about a body that is not there; some servers then answer 411.
            call.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
    }

    async fn send(&self, call: Call) -> Result<(Parts, Payload), CallError> {
        if self.line.is_some() {
            return Box::pin(self.send_scripted(call)).await;
        }
        let scheme = call.url.scheme();
        if scheme == Some(&Scheme::HTTP) && self.recipe.proxy.is_none() {
            self.send_direct(call).await
        } else if scheme == Some(&Scheme::HTTP) || scheme == Some(&Scheme::HTTPS) {
            // Boxed, as what few calls need: the future of the others is moved about, and is a fraction of this one.
            Box::pin(self.send_reqwest(call)).await
        } else {
            Err(CallError::Url)
        }
    }

    async fn send_direct(&self, call: Call) -> Result<(Parts, Payload), CallError> {
        let mut request = Request::new(Full::new(call.body));
        *request.method_mut() = call.method;
        *request.uri_mut() = call.url;
        *request.headers_mut() = call.headers;
        let sent = self.direct.request(request).await;
        let response = sent.map_err(|error| CallError::of_direct(&error, self.connect_timeout))?;
        let (head, body) = response.into_parts();
        Ok((head, Payload::Direct(body)))
    }

    /// What the transports check, and no transport.
    async fn send_scripted(&self, call: Call) -> Result<(Parts, Payload), CallError> {
        let host = call.url.host().filter(|_| matches!(call.url.scheme_str(), Some("http" | "https")));
        let (Some(host), Some(line)) = (host, &self.line) else { return Err(CallError::Url) };
        self.recipe.guard.check_host(host).map_err(CallError::Denied)?;
        let (head, body) = line.send(&call, self.connect_timeout).await?;
        Ok((head, Payload::Scripted(body)))
    }

    async fn send_reqwest(&self, call: Call) -> Result<(Parts, Payload), CallError> {
        let url = Url::parse(&call.url.to_string()).map_err(|_| CallError::Url)?;
        // Names are checked by the resolver, which is not asked for addresses.
        let checked = match url.host() {
            Some(Host::Ipv4(address)) => self.recipe.guard.check(address.into()),
            Some(Host::Ipv6(address)) => self.recipe.guard.check(address.into()),
            Some(Host::Domain(_)) => Ok(()),
            None => return Err(CallError::Url),
        };
        checked.map_err(CallError::Denied)?;
        let client = self.reqwest().map_err(CallError::Client)?;
        let mut request = reqwest::Request::new(call.method, url);
        *request.headers_mut() = call.headers;
        if !call.body.is_empty() {
            *request.body_mut() = Some(call.body.into());
        }
        let again = request.try_clone();
        let mut sent = client.execute(request).await;
        // The transparent retry: once, and no attempt of its own, because the server never began.
        if let (Err(error), Some(again)) = (&sent, again)
            && CallError::is_untouched(error)
        {
            tracing::debug!("an upstream refused a stream; sent once more");
            sent = client.execute(again).await;
        }
        let response = sent.map_err(|error| CallError::of_reqwest(&error, self.connect_timeout))?;
        let (head, body) = http::Response::<reqwest::Body>::from(response).into_parts();
        Ok((head, Payload::Reqwest(body)))
    }
}

/// Takes out what concerns one connection only, and a length that only the transport may state.
fn strip(headers: &mut HeaderMap) {
    if !headers.keys().any(is_hop_by_hop) {
        return;
    }
    let mut names = headers.keys().filter(|name| is_hop_by_hop(name)).cloned().collect::<Vec<_>>();
    for value in headers.get_all(CONNECTION) {
        let listed = value.to_str().unwrap_or_default().split(',');
        names.extend(listed.filter_map(|name| HeaderName::try_from(name.trim()).ok()));
    }
    for name in names {
        headers.remove(name);
    }
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "content-length"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_one_connection_are_taken_out_and_so_are_those_it_lists() {
        let pairs = [
            ("connection", "close, X-Listed"),
            ("x-listed", "1"),
            ("transfer-encoding", "chunked"),
            ("content-length", "7"),
            ("proxy-authorization", "Basic x"),
            ("te", "trailers"),
            ("accept", "text/plain"),
        ];
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        strip(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
    }
}
