//! The storm: very many connect and go.

use crate::connection::open_many;
use crate::options::Options;
use crate::protocols::script;
use crate::usage::spent;

pub(crate) fn storm(options: &Options) {
    let script = script(
        &options.protocol,
        options.payload.max(24),
        options.keepalive,
    );
    let load = std::process::id();
    let (server_before, load_before) = (spent(options.process), spent(load));
    let opened = open_many(options, &script.subscriber, false);
    let server = spent(options.process).since(server_before).nanoseconds as f64;
    let load = spent(load).since(load_before).nanoseconds as f64;
    let count = opened.count as f64;
    print!(
        r#"{{"test":"storm","name":"{}","proto":"{}","conns":{},"conn_s":{:.0},"#,
        options.name,
        options.protocol,
        opened.count,
        count / opened.seconds,
    );
    println!(
        r#""srv_us_conn":{:.2},"cli_us_conn":{:.2}}}"#,
        server / 1e3 / count,
        load / 1e3 / count,
    );
}
