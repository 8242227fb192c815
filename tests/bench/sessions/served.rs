//! A whole gateway with so many sessions.

use std::io::{Read as _, Write as _};
use std::path::Path;

use gatewarden::config;
use gatewarden::server::Server;

pub(crate) fn serve(file: &Path, pairs: &Path, count: usize) {
    let config = config::load(file, std::iter::empty()).unwrap_or_else(|bad| panic!("{bad}"));
    let server = Server::prepare(&config).unwrap_or_else(|bad| panic!("{bad}"));
    let running = server.bind().unwrap().start().unwrap();
    let (sample, _) = super::fill(running.sessions(), &super::ring(&config), count);
    let mut out = std::io::BufWriter::new(std::fs::File::create(pairs).unwrap());
    for (key, token) in sample {
        writeln!(out, "{} {}", key.expose(), token.expose()).unwrap();
    }
    out.into_inner().unwrap();
    println!("ready");
    let _input_ended = std::io::stdin().read(&mut [0]);
    running.drain();
    running.join();
}
