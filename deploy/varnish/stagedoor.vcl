# Varnish in front of Stagedoor: one copy of everything for all viewers, and each of them asked for at the server.
#
# The token in a media address says who asks. A media request goes twice through here: first as a question to the server
# (/authorize, no body, no database), and only if that says yes again, without the token, to the cache. Who is sent out is
# refused with their next request, also for what is in the cache. Whoever asks for a playlist or a part that is just being
# fetched waits for the same answer and is woken with it. Needs Varnish 6.5 or newer. TLS is for something in front of it
# (hitch, nginx). How it is meant, and what it costs: docs/operate/caches.md.
vcl 4.1;

backend stagedoor {
    .host = "127.0.0.1";
    .port = "8080";
    # A playlist waits for its part, at most twelve seconds.
    .first_byte_timeout = 20s;
    .between_bytes_timeout = 20s;
}

sub vcl_recv {
    if (req.restarts == 0) {
        # Ours alone: nobody brings them along.
        unset req.http.x-stagedoor-token;
        unset req.http.x-stagedoor-media;
    } elsif (req.http.x-stagedoor-media) {
        # The server said yes: now without the token.
        set req.url = req.http.x-stagedoor-media;
        return (hash);
    }
    # An address that names a host as well is read differently by whoever reads it.
    if (req.url !~ "^/" || req.url ~ "^/(metrics|authorize)") {
        return (synth(404));
    }
    # The feeds are WebSockets, and nothing else is: what is piped is not looked at any more. Whoever asks for a feed and
    # does not get it is hung up on by the server, so nothing goes raw to it that could follow.
    if (req.http.upgrade) {
        if (req.method == "GET" && req.proto == "HTTP/1.1" && req.http.upgrade ~ "(?i)^websocket$" &&
            req.http.sec-websocket-key && !req.http.content-length && !req.http.transfer-encoding &&
            req.url ~ "^/api/v1/events/evt_[0-9a-z]+/(feed|sessions/current/feed|takeovers/tko_[0-9a-z]+/feed)(\?[A-Za-z0-9_=&]*)?$") {
            return (pipe);
        }
        unset req.http.upgrade;
    }
    if (req.method != "GET" && req.method != "HEAD") {
        return (pass);
    }
    # Parts, segments and headers: nothing behind a question mark means anything. Playlists: what a player may say about
    # one, in the order in which all of them say it. Anything else is not kept.
    if (req.url ~ "^/live/[A-Za-z0-9_-]+/str_[0-9a-z]+/(video|audio)/[0-9a-z.]+\.(m4s|mp4)(\?.*)?$") {
        set req.url = regsub(req.url, "\?.*$", "");
    } elsif (req.url !~ "^/live/[A-Za-z0-9_-]+/str_[0-9a-z]+/((video|audio)/)?index\.m3u8(\?(_HLS_msn=[0-9]+(&_HLS_part=[0-9]+)?(&_HLS_skip=(YES|v2))?|_HLS_skip=(YES|v2)))?$") {
        return (pass);
    }
    set req.http.x-stagedoor-token = regsub(req.url, "^/live/([^/]+)/.*$", "\1");
    set req.http.x-stagedoor-media = regsub(req.url, "^/live/[^/]+/", "/media/");
    set req.url = "/authorize" + regsub(req.url, "\?.*$", "");
    unset req.http.cookie;
    unset req.http.authorization;
    return (pass);
}

sub vcl_hash {
    # One stage behind this cache: its name does not matter, and the token is not in the address any more.
    hash_data(req.url);
    return (lookup);
}

sub vcl_backend_fetch {
    # What was asked about by one of those who wait is fetched in their name.
    if (bereq.url ~ "^/media/" && bereq.http.x-stagedoor-token) {
        set bereq.url = "/live/" + bereq.http.x-stagedoor-token + regsub(bereq.url, "^/media", "");
    }
    unset bereq.http.x-stagedoor-token;
    unset bereq.http.x-stagedoor-media;
}

sub vcl_backend_response {
    if (bereq.url ~ "^/live/" && !bereq.uncacheable) {
        unset beresp.http.set-cookie;
        # A playlist that is too old is worse than none.
        set beresp.grace = 0s;
        set beresp.keep = 0s;
        if (beresp.status != 200 || beresp.http.cache-control ~ "no-store") {
            # "Not yet" and "no" are for those who asked, and may be otherwise in a moment.
            set beresp.ttl = 0s;
            set beresp.uncacheable = true;
        }
        return (deliver);
    }
    set beresp.ttl = 0s;
    set beresp.uncacheable = true;
    return (deliver);
}

sub vcl_deliver {
    if (req.http.x-stagedoor-media && req.restarts == 0) {
        if (resp.status == 204) {
            return (restart);
        }
        if (resp.status == 403) {
            return (synth(403));
        }
        return (synth(503));
    }
    if (req.http.x-stagedoor-media) {
        if (obj.hits > 0) {
            set resp.http.x-cache = "HIT";
        } else {
            set resp.http.x-cache = "MISS";
        }
    }
    unset resp.http.x-varnish;
    unset resp.http.via;
}

sub vcl_synth {
    set resp.http.cache-control = "no-store";
    set resp.http.access-control-allow-origin = "*";
    set resp.http.x-content-type-options = "nosniff";
    set resp.http.content-type = "application/problem+json";
    if (resp.status == 403) {
        synthetic("""{"type":"about:blank","title":"Forbidden","status":403,"code":"playback_refused","detail":"This playback link is not valid, or no longer valid. Open the event page and enter your code again."}""");
    } elsif (resp.status == 404) {
        synthetic("""{"type":"about:blank","title":"Not Found","status":404,"code":"not_found","detail":"There is nothing here."}""");
    } else {
        set resp.http.retry-after = "2";
        synthetic("""{"type":"about:blank","title":"Service Unavailable","status":503,"code":"unavailable","detail":"This cannot be done at the moment. Try again in a few seconds."}""");
    }
    return (deliver);
}

sub vcl_pipe {
    # In our own words: the client's Connection may name headers that must not get lost. Varnish has added to
    # X-Forwarded-For who asks.
    set bereq.http.upgrade = "websocket";
    set bereq.http.connection = "upgrade";
    set bereq.http.x-forwarded-for = req.http.x-forwarded-for;
}
