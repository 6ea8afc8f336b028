//! An axum application with routes and middleware of its own, and a hub at `/hub` for pages that speak SignalR.
//!
//! ```sh
//! cargo run -p lapwing-examples --example axum_app -- --listen 127.0.0.1:8080
//! curl -X POST 127.0.0.1:8080/orders/7/shipped
//! ```
//!
//! ```js
//! const orders = new signalR.HubConnectionBuilder().withUrl("http://127.0.0.1:8080/hub").build()
//! orders.on("orders/7", (state) => console.log(state))
//! await orders.start()
//! await orders.invoke("Subscribe", "orders/*")
//! ```

use std::error::Error;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{get, post};
use lapwing::Hub;
use lapwing::hub::Rule;
use lapwing::runtime::Tokio;
use lapwing_http::{Endpoint, Options};
use lexopt::prelude::*;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Tokio::current().ok_or("no runtime")?;
    let hub = Hub::builder(runtime.clone())
        .protocol(lapwing_signalr::Json)
        .topic("orders/*", Rule::closed().subscribe())
        .build()?;
    let (endpoint, connections) = Endpoint::new(runtime, Options::signalr());
    tokio::spawn(hub.serve(connections));

    let app = Router::new()
        .route("/", get(async || "orders"))
        .route("/orders/{id}/{state}", post(change))
        .with_state(hub)
        .route_service("/hub", endpoint.clone())
        .route_service("/hub/negotiate", endpoint)
        .layer(from_fn(sign));
    let listener = TcpListener::bind(listen()?).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

/// Tells everybody who has subscribed that an order has another state now.
async fn change(
    State(hub): State<Hub>,
    Path((id, state)): Path<(String, String)>,
) -> Result<StatusCode, StatusCode> {
    let topic = format!("orders/{id}");
    match hub.publish(&topic, state) {
        Ok(_) => Ok(StatusCode::ACCEPTED),
        Err(_) => Err(StatusCode::BAD_REQUEST),
    }
}

/// Middleware around every route, the hub's too.
async fn sign(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert("x-served-by", HeaderValue::from_static("axum"));
    response
}

/// Where to listen: `--listen`, on this machine's port 8080 otherwise.
fn listen() -> Result<String, lexopt::Error> {
    let mut arguments = lexopt::Parser::from_env();
    let mut addr = "127.0.0.1:8080".into();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("listen") => addr = arguments.value()?.string()?,
            other => return Err(other.unexpected()),
        }
    }
    Ok(addr)
}
