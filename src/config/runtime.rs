//! What of a configuration can change while the gateway runs, and what takes effect at a start only.

use super::settings::{Config, Login, Server};

impl Config {
    /// This configuration as far as it can take effect while `running` runs, and the names of what has changed but has to wait
    /// for the next start.
    #[must_use]
    pub fn at_runtime(self, running: &Self) -> (Self, Vec<&'static str>) {
        let old = running.clone();
        let mut waiting = Vec::new();
        let server = Server {
            workers: settle("server.workers", self.server.workers, old.server.workers, &mut waiting),
            drain_delay: settle("server.drain_delay", self.server.drain_delay, old.server.drain_delay, &mut waiting),
            drain_timeout: settle(
                "server.drain_timeout",
                self.server.drain_timeout,
                old.server.drain_timeout,
                &mut waiting,
            ),
            ..self.server
        };
        let login = Login {
            throttle: settle("login.throttle", self.login.throttle, old.login.throttle, &mut waiting),
            ..self.login
        };
        let config = Self {
            listeners: settle("listeners", self.listeners, old.listeners, &mut waiting),
            limits: settle("limits", self.limits, old.limits, &mut waiting),
            sessions: settle("sessions", self.sessions, old.sessions, &mut waiting),
            health: settle("health", self.health, old.health, &mut waiting),
            log: settle("log", self.log, old.log, &mut waiting),
            tls: if old.tls.is_some() { self.tls.or(old.tls) } else { None },
            server,
            login,
            ..self
        };
        (config, waiting)
    }
}

/// What runs; noted where it is not what is wanted.
fn settle<T: PartialEq>(name: &'static str, wanted: T, running: T, waiting: &mut Vec<&'static str>) -> T {
    if wanted != running {
        waiting.push(name);
    }
    running
}

#[cfg(test)]
mod tests {
    use super::super::testing::good;

    #[test]
    fn what_needs_a_start_is_named_and_stays_and_the_rest_changes() {
        let running = good("[limits]\nstreams = 5\n[login]\nqueue = 5\n");
        let wanted = good(
            "\n\n[limits]\nstreams = 6\n[server]\nworkers = 7\ndrain_timeout = \"1s\"\n[login]\nqueue = 6\n[log]\nquery = true\n",
        );
        let (config, waiting) = wanted.at_runtime(&running);
        assert_eq!(waiting, ["server.workers", "server.drain_timeout", "limits", "log"]);
        assert_eq!((config.limits.streams, config.login.queue, config.log.query), (5, 6, false));
        assert_eq!(config.server, running.server);
    }

    #[test]
    fn the_same_settings_on_other_lines_have_not_changed() {
        let (_, waiting) =
            good("\n\n[health]\n[limits]\nstreams = 5\n").at_runtime(&good("[limits]\nstreams = 5\n[health]\n"));
        assert_eq!(waiting, [""; 0]);
    }
}
