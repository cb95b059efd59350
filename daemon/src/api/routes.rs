//! Routes, each with what it asks of its caller. There is no other way to add one, so none can be without.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, on};

use super::Api;
use crate::access::Need;

/// One method of one path.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) need: Need,
}

/// The router as it grows, with its rules.
#[derive(Default)]
pub(super) struct Routes {
    router: Router<Api>,
    rules: Vec<Rule>,
}

impl Routes {
    /// Something to look at. HEAD comes with it.
    pub(super) fn get<T: 'static>(self, path: &'static str, need: Need, handler: impl Handler<T, Api>) -> Routes {
        self.add(Method::GET, MethodFilter::GET, (path, need), handler)
    }

    /// Something that changes something, or makes a new thing.
    pub(super) fn post<T: 'static>(self, path: &'static str, need: Need, handler: impl Handler<T, Api>) -> Routes {
        self.add(Method::POST, MethodFilter::POST, (path, need), handler)
    }

    /// Something that replaces a thing; twice is as once.
    pub(super) fn put<T: 'static>(self, path: &'static str, need: Need, handler: impl Handler<T, Api>) -> Routes {
        self.add(Method::PUT, MethodFilter::PUT, (path, need), handler)
    }

    /// Something that removes a thing.
    pub(super) fn delete<T: 'static>(self, path: &'static str, need: Need, handler: impl Handler<T, Api>) -> Routes {
        self.add(Method::DELETE, MethodFilter::DELETE, (path, need), handler)
    }

    fn add<T: 'static>(
        mut self,
        method: Method,
        filter: MethodFilter,
        (path, need): (&'static str, Need),
        handler: impl Handler<T, Api>,
    ) -> Routes {
        self.rules.push(Rule { method, path, need });
        self.router = self.router.route(path, on(filter, handler));
        self
    }

    /// The router, and what each of its routes asks.
    pub(super) fn finish(self) -> (Router<Api>, Rules) {
        let mut by_path: HashMap<&'static str, Vec<Rule>> = HashMap::new();
        for rule in self.rules {
            by_path.entry(rule.path).or_default().push(rule);
        }
        (self.router, Rules(Arc::new(by_path)))
    }
}

/// What each route asks.
#[derive(Debug, Clone)]
pub(super) struct Rules(Arc<HashMap<&'static str, Vec<Rule>>>);

impl Rules {
    /// Of a route by its path as it was added; none: the path does not know this method.
    pub(super) fn need(&self, method: &Method, path: &str) -> Option<Need> {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        self.0.get(path)?.iter().find(|rule| rule.method == *method).map(|rule| rule.need)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Rule> {
        self.0.values().flatten()
    }
}
