//! The API's description. It is committed as `daemon/openapi.json`; a test compares the two, and the page's types are made
//! from it.
//!
//! Handlers describe their own answers. What holds for all of them is added here from the routes' rules: who may call it,
//! and the refusals that stand before every handler.

use std::collections::BTreeMap;

use axum::Json;
use utoipa::OpenApi;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Object, Schema, SchemaType, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{ContentBuilder, HttpMethod, PathItem, Ref, RefOr, Required, Response, ResponseBuilder};

use super::routes::Rule;
use super::{
    alerts, audit, cameras, drift, events, export, features, found, gate, gauge, golden, health, holds, idempotency,
    inspections, jobs, learning, line, metrics, models, picture, plc, problem, quality, recipes, replays, review,
    serials, session, setup, tokens, users,
};
use crate::access::{Need, Scope};

/// Everything that can be asked.
#[derive(OpenApi)]
#[openapi(
    info(title = "inspectd", description = "The inspection daemon of a factory-line PC."),
    components(schemas(problem::Problem, export::FormWord, quality::ByWord, quality::FormWord)),
    paths(
        line::line,
        line::trend,
        inspections::list,
        inspections::count,
        inspections::known,
        found::find,
        found::find_like_picture,
        inspections::one,
        picture::image,
        events::events,
        export::export,
        export::progress,
        quality::quality,
        quality::report,
        review::queue,
        review::item,
        review::label,
        review::labels,
        review::undo,
        features::review,
        features::status,
        features::start,
        features::cancel,
        features::points,
        learning::learning,
        drift::drift,
        drift::begin_anew,
        plc::plc,
        cameras::list,
        cameras::features,
        cameras::set,
        cameras::picture,
        recipes::list,
        recipes::make,
        recipes::one,
        recipes::enforce,
        setup::setup,
        setup::begin,
        setup::end,
        setup::leave_out,
        setup::learn,
        setup::trade,
        golden::golden,
        golden::runs,
        golden::start,
        golden::cancel,
        golden::overrule,
        gauge::list,
        gauge::plan,
        gauge::one,
        gauge::remove,
        gauge::collect,
        gauge::void,
        gauge::rate,
        gauge::report,
        serials::waiting,
        serials::send,
        serials::forget,
        jobs::list,
        jobs::one,
        jobs::start,
        jobs::cancel,
        jobs::pause,
        jobs::resume,
        jobs::judge,
        jobs::remove,
        models::list,
        models::one,
        models::promote,
        models::rollback,
        replays::list,
        replays::start,
        replays::one,
        replays::remove,
        replays::cancel,
        replays::report,
        replays::serials,
        session::read,
        session::sign_in,
        session::sign_out,
        session::kiosk,
        session::set_up,
        session::password,
        users::list,
        users::add,
        users::change,
        users::remove,
        tokens::list,
        tokens::add,
        tokens::revoke,
        audit::list,
        audit::head,
        alerts::list,
        alerts::acknowledge,
        alerts::resolve,
        alerts::rules,
        alerts::put_rule,
        alerts::delete_rule,
        alerts::outbox,
        alerts::replay,
        health::health,
        holds::list,
        holds::put,
        holds::lift,
        openapi,
        metrics::metrics,
        health::healthz,
        health::readyz,
    )
)]
struct Document;

/// The description, as `inspectd openapi` prints it.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    let components = document.components.get_or_insert_default();
    components.security_schemes.insert(
        "session".to_owned(),
        RefOr::T(SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
            "__Host-inspectd-PORT",
            "Set by signing in. On plain HTTP, on this machine only, it is called `inspectd-PORT`.",
        )))),
    );
    let bearer =
        HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("A token of `inspectd tokens add`."));
    components.security_schemes.insert("token".to_owned(), RefOr::T(SecurityScheme::Http(bearer.build())));
    open_parts(&mut components.schemas);
    let (_, rules) = super::routes();
    for rule in rules.all() {
        let item = document.paths.paths.get_mut(rule.path);
        // A route without a description is found by a test, which compares the two.
        if let Some(operation) = item.and_then(|item| operation(item, rule)) {
            complete(operation, rule);
        }
    }
    document
}

/// A variant with a tag is described as `allOf` its own keys and the tag. Parts that both refuse further keys can never hold
/// together, so the parts are left open there; the program itself refuses unknown keys all the same.
fn open_parts(schemas: &mut BTreeMap<String, RefOr<Schema>>) {
    let mut parts = Vec::new();
    for schema in schemas.values() {
        let RefOr::T(Schema::OneOf(variants)) = schema else { continue };
        for variant in &variants.items {
            let RefOr::T(Schema::AllOf(variant)) = variant else { continue };
            parts.extend(variant.items.iter().filter_map(|part| match part {
                RefOr::Ref(part) => part.ref_location.rsplit('/').next().map(str::to_owned),
                RefOr::T(_) => None,
            }));
        }
    }
    for name in parts {
        if let Some(RefOr::T(Schema::Object(part))) = schemas.get_mut(&name) {
            part.additional_properties = None;
        }
    }
}

fn operation<'a>(item: &'a mut PathItem, rule: &Rule) -> Option<&'a mut Operation> {
    match method(rule)? {
        HttpMethod::Get => item.get.as_mut(),
        HttpMethod::Post => item.post.as_mut(),
        HttpMethod::Put => item.put.as_mut(),
        HttpMethod::Delete => item.delete.as_mut(),
        _ => None,
    }
}

fn method(rule: &Rule) -> Option<HttpMethod> {
    Some(match rule.method.as_str() {
        "GET" => HttpMethod::Get,
        "POST" => HttpMethod::Post,
        "PUT" => HttpMethod::Put,
        "DELETE" => HttpMethod::Delete,
        _ => return None,
    })
}

/// Adds what holds for every route of this kind.
fn complete(operation: &mut Operation, rule: &Rule) {
    let writes = rule.method != axum::http::Method::GET;
    let mut extensions = Extensions::builder().add("x-role", rule.need.word());
    let mut refusals = vec![
        (400, "It cannot be understood"),
        (403, "A page of another site asked, or the role or scope is not enough"),
        (421, "Asked under a name that is not this server's"),
        (500, "The program or its disk failed"),
    ];
    if let Need::Role(_, area) = rule.need {
        extensions = extensions.add("x-scope", Scope { area, write: writes }.to_string());
        let session = SecurityRequirement::new::<_, [&str; 0], &str>("session", []);
        let token = SecurityRequirement::new::<_, [&str; 0], &str>("token", []);
        operation.security = Some(vec![session, token]);
    } else {
        operation.security = Some(Vec::new());
    }
    refusals.push((401, "Nobody is signed in, or the token or session is not valid"));
    if writes {
        let parameters = operation.parameters.get_or_insert_default();
        parameters.push(RefOr::T(own_header()));
        refusals.extend([(408, "The body did not arrive in time"), (413, "The body is too large")]);
        if rule.method == axum::http::Method::POST {
            parameters.push(RefOr::T(idempotency_key()));
            refusals.extend([(409, "The first request with this key is still being worked on")]);
        }
        refusals.push((429, "Too many attempts, or too many at once"));
        refusals.push((422, "It is understood and cannot be done as it stands"));
        if operation.request_body.is_some() {
            refusals.push((415, "The body is not JSON, or does not say so"));
        }
    }
    for (status, words) in refusals {
        operation.responses.responses.entry(status.to_string()).or_insert_with(|| RefOr::T(refusal(words)));
    }
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            // The specification wants one.
            response.description = "As asked".to_owned();
        }
    }
    operation.extensions.get_or_insert_default().merge(extensions.build());
}

fn refusal(words: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(words).content("application/problem+json", content).build()
}

fn own_header() -> Parameter {
    header(
        gate::OWN_HEADER,
        "Any value. Needed with a session and where everything is open, not with a token: no page of another site can send it.",
    )
}

fn idempotency_key() -> Parameter {
    header(idempotency::HEADER, "Chosen by the caller: a POST that is sent again with the same key is done once.")
}

fn header(name: &str, description: &str) -> Parameter {
    let mut text = Object::with_type(SchemaType::Type(Type::String));
    (text.min_length, text.max_length) = (Some(1), Some(255));
    text.pattern = Some("^[A-Za-z0-9_-]+$".to_owned());
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(text))
        .build()
}

/// This description.
#[utoipa::path(get, path = "/api/v1/openapi.json", responses((status = 200, content_type = "application/json")))]
pub(super) async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(document())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn description_and_routes_are_the_same() {
        let (_, rules) = super::super::routes();
        let routes: BTreeSet<String> =
            rules.all().map(|rule| format!("{} {}", rule.method.as_str().to_lowercase(), rule.path)).collect();
        let document = serde_json::to_value(document()).expect("JSON");
        let mut described = BTreeSet::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("methods") {
                described.insert(format!("{method} {path}"));
                assert!(operation["x-role"].is_string(), "{method} {path} does not say who may");
            }
        }
        assert_eq!(routes, described);
    }
}
