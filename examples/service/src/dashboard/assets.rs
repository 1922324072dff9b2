//! The style sheet, the one script and the icon. Nothing comes from anywhere else.

use std::sync::LazyLock;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::routing::get;
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use crate::app::App;

const STYLE: &str = include_str!("../../static/app.css");
const SCRIPT: &str = include_str!("../../static/app.js");
const ICON: &str = include_str!("../../static/icon.svg");

/// Stands in the addresses of all of them, so that a browser may keep them for long.
pub(super) static FINGERPRINT: LazyLock<String> = LazyLock::new(|| {
    let digest = Sha256::digest([STYLE, SCRIPT, ICON].concat().as_bytes());
    HEXLOWER.encode(&digest[..6])
});

pub(super) fn routes() -> Router<App> {
    let asset = |kind: &'static str, text: &'static str| {
        let headers = [
            (CONTENT_TYPE, kind),
            (CACHE_CONTROL, "public, max-age=31536000, immutable"),
        ];
        get(move || async move { (headers, text) })
    };
    Router::new()
        .route(
            "/assets/{fingerprint}/app.css",
            asset("text/css; charset=utf-8", STYLE),
        )
        .route(
            "/assets/{fingerprint}/app.js",
            asset("text/javascript; charset=utf-8", SCRIPT),
        )
        .route(
            "/assets/{fingerprint}/icon.svg",
            asset("image/svg+xml", ICON),
        )
}
