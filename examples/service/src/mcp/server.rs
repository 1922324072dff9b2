//! The protocol: which tools there are, and which function answers.

use std::sync::Arc;

use axum::http::request::Parts;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CustomRequest, CustomResult,
    ErrorCode, Implementation, JsonObject, ListToolsResult, PaginatedRequestParams,
    ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::caller::Caller;
use super::error::{Answer, Refusal};
use super::{invites, members, memory, share};

#[derive(Debug, Clone, Copy)]
pub(super) struct Server;

/// For tools without parameters.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new(
                "guestlist-service",
                env!("CARGO_PKG_VERSION"),
            ))
            .with_instructions(
                "Memories are texts under keys of your organization. `@organization/key` is a key \
                 of an organization that yours has joined.",
            )
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let caller = context
            .extensions
            .get::<Parts>()
            .and_then(|parts| parts.extensions.get::<Caller>())
            .ok_or_else(|| ErrorData::internal_error("nobody is signed in", None))?;
        let arguments = request.arguments.unwrap_or_default();
        let result = match call(caller, &request.name, arguments).await {
            Ok(answer) => CallToolResult::structured(answer),
            Err(refusal) => refusal.into_result(),
        };
        Ok(result.into())
    }

    /// A call whose parameters have another shape than the protocol's comes here.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        Err(if request.method == "tools/call" {
            ErrorData::invalid_params("a call has a `name` and an object of `arguments`", None)
        } else {
            ErrorData::new(ErrorCode::METHOD_NOT_FOUND, request.method, None)
        })
    }
}

async fn call(caller: &Caller, name: &str, arguments: JsonObject) -> Answer {
    match name {
        "create_memory" => memory::create(caller, read(arguments)?).await,
        "get_memory" => memory::get(caller, read(arguments)?).await,
        "update_memory" => memory::update(caller, read(arguments)?).await,
        "delete_memory" => memory::delete(caller, read(arguments)?).await,
        "list_keys" => memory::list(caller, read(arguments)?).await,
        "search_memories" => memory::search(caller, read(arguments)?).await,
        "create_invite" => invites::create(caller, read(arguments)?).await,
        "list_invites" => {
            let Nothing {} = read(arguments)?;
            invites::list(caller).await
        }
        "refresh_invite" => invites::refresh(caller, &read(arguments)?).await,
        "disable_invite" => invites::disable(caller, &read(arguments)?).await,
        "enable_invite" => invites::enable(caller, &read(arguments)?).await,
        "claim_invite" => invites::claim(caller, &read(arguments)?).await,
        "list_pending_invites" => {
            let Nothing {} = read(arguments)?;
            members::pending(caller).await
        }
        "approve_invite" => members::approve(caller, &read(arguments)?).await,
        "reject_invite" => members::reject(caller, &read(arguments)?).await,
        "list_org_members" => {
            let Nothing {} = read(arguments)?;
            members::list(caller).await
        }
        "remove_member" => members::remove(caller, &read(arguments)?).await,
        "list_my_external_orgs" => {
            let Nothing {} = read(arguments)?;
            members::external(caller).await
        }
        "leave_org" => members::leave(caller, &read(arguments)?).await,
        "share" => share::share(caller, read(arguments)?).await,
        "list_permissions" => {
            let Nothing {} = read(arguments)?;
            share::permissions(caller).await
        }
        _ => Err(Refusal::not_found("there is no such tool")),
    }
}

fn read<P: DeserializeOwned>(arguments: JsonObject) -> Result<P, Refusal> {
    serde_json::from_value(Value::Object(arguments)).map_err(Refusal::invalid)
}

fn tools() -> Vec<Tool> {
    vec![
        tool::<memory::Create>(
            "create_memory",
            "Write memories under keys that are free, 1 to 100 at once. Each one fails or succeeds by itself.",
        ),
        tool::<memory::Keys>(
            "get_memory",
            "Read the memories under these keys, 1 to 100.",
        ),
        tool::<memory::Update>("update_memory", "Change the memory under a key."),
        tool::<memory::Keys>(
            "delete_memory",
            "Delete the memories under these keys, 1 to 100.",
        ),
        tool::<memory::List>("list_keys", "List the keys that you may read, by name."),
        tool::<memory::Search>(
            "search_memories",
            "Search the memories that you may read, also those of organizations that yours has joined, best first.",
        ),
        tool::<invites::New>(
            "create_invite",
            "Make an invite link for other organizations.",
        ),
        tool::<Nothing>(
            "list_invites",
            "List the invite links of your organization.",
        ),
        tool::<invites::Which>(
            "refresh_invite",
            "Give an invite link a new token. The old one is dead at once.",
        ),
        tool::<invites::Which>(
            "disable_invite",
            "Let nobody new in through an invite link. Members stay.",
        ),
        tool::<invites::Which>(
            "enable_invite",
            "Let organizations in again, with a new token.",
        ),
        tool::<invites::Claim>(
            "claim_invite",
            "Ask with an invite's token that your organization may join another one.",
        ),
        tool::<Nothing>(
            "list_pending_invites",
            "List the organizations that wait for your approval.",
        ),
        tool::<members::Joining>("approve_invite", "Let an organization in that waits."),
        tool::<members::Joining>("reject_invite", "Reject an organization that waits."),
        tool::<Nothing>(
            "list_org_members",
            "List the organizations that have joined yours or have asked to.",
        ),
        tool::<members::Joining>(
            "remove_member",
            "End the membership of an organization, and its access with it.",
        ),
        tool::<Nothing>(
            "list_my_external_orgs",
            "List the organizations that yours has joined or has asked to join.",
        ),
        tool::<members::Host>(
            "leave_org",
            "Leave an organization that yours has joined, or withdraw the request.",
        ),
        tool::<share::Share>(
            "share",
            "Manage users, groups and grants of your organization. Commands: create_user, delete_user \
             {username}; create_group, delete_group, set_external_group {group_name}; add_member, \
             remove_member {group_name, username}; grant {target, action, key_pattern}; revoke {grant_id}; \
             list {target_type?, action?}; make_public {key_pattern}. A target is {\"type\": \"org\"}, \
             {\"type\": \"user\", \"username\"} or {\"type\": \"group\", \"group_name\"}. Actions: read, create, \
             update, delete, public_read. A key_pattern that ends with / stands for every key below it, an \
             empty one for every key, any other one for that key.",
        ),
        tool::<Nothing>(
            "list_permissions",
            "List what you may do, and with which keys.",
        ),
    ]
}

/// The schema is the one of the type that arguments are read into. Clients want it flat.
fn tool<P: JsonSchema>(name: &'static str, description: &'static str) -> Tool {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    // Their types say no null, and it is no default of theirs either.
    let no_null = RecursiveTransform(|schema: &mut Schema| {
        if schema.get("default") == Some(&Value::Null) {
            schema.remove("default");
        }
    });
    settings.transforms.push(Box::new(no_null));
    let schema = settings.into_generator().into_root_schema_for::<P>();
    let mut schema = match Value::from(schema) {
        Value::Object(schema) => schema,
        _ => JsonObject::new(),
    };
    schema.remove("title");
    schema.remove("description");
    schema.entry("properties").or_insert_with(|| json!({}));
    Tool::new(name, description, Arc::new(schema))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_has_a_plain_type_and_a_description() {
        let tools = tools();
        assert_eq!(tools.len(), 21);
        for tool in tools {
            let schema = Value::Object((*tool.input_schema).clone());
            assert_eq!(schema["type"], "object", "{}", tool.name);
            assert_eq!(schema["additionalProperties"], false, "{}", tool.name);
            for (name, property) in schema["properties"].as_object().unwrap() {
                let at = format!("{}.{name}: {property}", tool.name);
                assert!(property["type"].is_string(), "{at}");
                assert!(property["description"].is_string(), "{at}");
                assert_eq!(name.to_lowercase(), *name, "{at}");
            }
            for unwanted in ["$ref", "null"] {
                assert!(!schema.to_string().contains(unwanted), "{schema}");
            }
            assert!(tool.output_schema.is_none(), "{}", tool.name);
        }
    }

    #[test]
    fn optional_parameters_are_not_required() {
        let schema = |wanted: &str| {
            let tool = tools()
                .into_iter()
                .find(|tool| tool.name == wanted)
                .unwrap();
            Value::Object((*tool.input_schema).clone())
        };
        assert_eq!(
            schema("create_invite")["properties"]["auto_approve"]["type"],
            "boolean"
        );
        assert_eq!(schema("create_invite").get("required"), None);
        assert_eq!(schema("list_keys").get("required"), None);
        assert_eq!(
            schema("update_memory")["required"],
            json!(["key_name", "value"])
        );
        assert_eq!(schema("share")["properties"]["command"]["type"], "object");
        let item = &schema("create_memory")["properties"]["items"]["items"];
        assert_eq!(
            item["required"],
            json!(["key_name", "description", "value"])
        );
    }
}
