/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Every bound on something that comes from outside stands here, under a name that says what it
 * bounds and in which unit. Code compares a length with its limit before it uses the length.
 */
#pragma once

enum {
	/* JSON documents (RFC 8259 leaves these to the implementation, section 9) */
	LIMIT_JSON_DEPTH = 128,
	LIMIT_JSON_BYTES = 16 * 1024 * 1024,
	LIMIT_JSON_NUMBER_BYTES = 1024,

	/* Documents that people write: manifests, node configuration, workflows */
	LIMIT_DOC_BYTES = 1024 * 1024,
	LIMIT_DOC_DEPTH = 48,
	LIMIT_DOC_VALUES = 50 * 1000, /* scalars, lists and maps, aliases expanded */
	LIMIT_DOC_KEY_BYTES = 1024,
	LIMIT_DOC_PATH_BYTES = 1024, /* of a field, as findings print it */
	LIMIT_TABLE_FIELDS = 64, /* of one object */
	LIMIT_REPORT_FINDINGS = 64, /* kept per document; further ones are counted */

	LIMIT_CONFIG_ARENA_BYTES = 64 * 1024 * 1024,
	LIMIT_MANIFEST_ARENA_BYTES = 64 * 1024 * 1024, /* text, tree, JSON and struct of one */

	/* JSON Schema: one check of one instance */
	LIMIT_JSONSCHEMA_DEPTH = 64, /* schemas inside schemas, $ref followed */
	LIMIT_JSONSCHEMA_STEPS = 2 * 1000 * 1000, /* keywords and comparisons */
	LIMIT_JSONSCHEMA_BYTES = 16 * 1024 * 1024, /* of a prepared schema */
	LIMIT_JSONSCHEMA_NODES = 64 * 1024,
	LIMIT_JSONSCHEMA_PATTERN_BYTES = 4096,
	LIMIT_PATTERN_NESTING = 64, /* parentheses */
	LIMIT_PATTERN_MATCH_STEPS = 1000 * 1000, /* PCRE2 match limit */
	LIMIT_PATTERN_MATCH_DEPTH = 1000, /* PCRE2 depth limit */
	LIMIT_PATTERN_MATCH_KIB = 4096, /* PCRE2 heap limit */

	/* Names and ids */
	LIMIT_NAME_BYTES = 253, /* longest DNS name; bounds agent, workflow and volume names too */
	LIMIT_PATH_BYTES = 4096, /* PATH_MAX */
	LIMIT_PATH_COMPONENT_BYTES = 255, /* NAME_MAX */

	/* HTTP/1.1 messages (RFC 9112 section 3 asks for 8000 bytes of request line at least) */
	LIMIT_HTTP_HEAD_BYTES = 16 * 1024, /* of a request: start line and headers */
	LIMIT_HTTP_ANSWER_HEAD_BYTES = 64 * 1024, /* of a response that our client reads */
	LIMIT_HTTP_HEADERS = 100,
	LIMIT_HTTP_METHOD_BYTES = 32,
	LIMIT_HTTP_TARGET_BYTES = 8192,
	LIMIT_HTTP_BODY_BYTES = 16 * 1024 * 1024, /* the most that any route may ask for */
	LIMIT_HTTP_FREE_BODY_BYTES = 64 * 1024, /* of a body: beyond it counts what all may take */
	LIMIT_HTTP_BODIES_BYTES = 64 * 1024 * 1024, /* of all bodies that one worker holds */
	LIMIT_HTTP_REQUEST_ARENA_BYTES = 64 * 1024 * 1024, /* what one request may allocate */
	LIMIT_HTTP_CHUNK_LINE_BYTES = 256, /* size and extensions */
	LIMIT_HTTP_CHUNK_OVERHEAD_BYTES = 16 * 1024, /* framing beyond what the content earns */
	LIMIT_HTTP_TRAILER_BYTES = 4096,
	LIMIT_HTTP_SKIPPED_BODY_BYTES = 64 * 1024, /* unread; a longer one ends the connection */
	LIMIT_HTTP_INTERIM_ANSWERS = 8, /* 1xx in front of one final response */
	LIMIT_HTTP_PATH_SEGMENTS = 32,
	LIMIT_HTTP_PATH_PARAMS = 8,
	LIMIT_HTTP_URL_BYTES = 16 * 1024,
	LIMIT_SSE_EVENT_BYTES = 4 * 1024 * 1024, /* one event that our client reads */

	/* Store */
	LIMIT_STORE_PAGE = 1000, /* rows of one answer */
	LIMIT_STORE_TEXT_BYTES = 4 * 1024 * 1024, /* one text or JSON column */
	LIMIT_STORE_MESSAGE_BYTES = 64 * 1024, /* the sentence that an event says to people */
	LIMIT_STORE_BLOB_BYTES = 16 * 1024 * 1024,
	LIMIT_STORE_READ_BYTES = 8 * 1024 * 1024, /* one answer; it then holds fewer rows */
	LIMIT_STORE_COMMIT_ITEMS =
		1024, /* events, changes, outbox entries or blobs of one commit */

	/* Audit journal */
	LIMIT_AUDIT_KIND_BYTES = 64,
	LIMIT_AUDIT_PAYLOAD_BYTES = 8 * 1024 * 1024,
	LIMIT_AUDIT_POLICY_PART_BYTES = 512 * 1024, /* of a policy set's text, in one record */
	LIMIT_AUDIT_SEGMENT_BYTES = 1024 * 1024 * 1024, /* of one file */
	LIMIT_AUDIT_APPEND_BYTES = 64 * 1024 * 1024, /* records handed over in one call */
	LIMIT_AUDIT_ANCHOR_BYTES = 64 * 1024, /* a file of exported heads */
	/* Commands of cmd.run */
	LIMIT_COMMAND_BYTES = 32 * 1024, /* half of what one exec argument may have is plenty */
	LIMIT_ARGV_COUNT = 512,

	/* Rules of one execution */
	LIMIT_RULES = 16 * 1024,
	LIMIT_RULE_SET_BYTES = 4 * 1024 * 1024, /* of a set's text */
	LIMIT_POLICY_FILES = 1024, /* of policy.d */
	LIMIT_RULE_SET_MEMORY_BYTES = 256 * 1024 * 1024, /* of a set, compiled */

	/* Cedar policies and what they are asked about */
	LIMIT_CEDAR_TEXT_BYTES = 4 * 1024 * 1024, /* of one text of policies or schema */
	LIMIT_CEDAR_POLICIES = 100 * 1000, /* of one text or set */
	LIMIT_CEDAR_NESTING = 100, /* expressions inside expressions, values inside values */
	LIMIT_CEDAR_DEPTH = 1000, /* levels of a tree; chains such as a && b && c count */
	LIMIT_CEDAR_NAMESPACES = 1000, /* of one schema */
	LIMIT_CEDAR_TYPE_NESTING = 50, /* types inside types, as written; twice that in JSON */
	LIMIT_CEDAR_DECLARATIONS = 10 * 1000, /* of one schema: types and actions */
	LIMIT_CEDAR_ENTITIES = 1000 * 1000, /* of one set */
	LIMIT_CEDAR_FINDINGS = 200, /* of one validation; more are counted as one */

	/* SMCP and SEAL */
	LIMIT_SMCP_BODY_BYTES = 4 * 1024 * 1024, /* of one request */
	LIMIT_SMCP_OPEN_BODY_BYTES = 256 * 1024, /* of one from outside without the bearer key */
	LIMIT_SMCP_TOKEN_BYTES = 8 * 1024,
	LIMIT_SMCP_CLAIM_BYTES = 1024, /* of one claim's text */
	LIMIT_SMCP_KEY_TEXT_BYTES = 1024, /* a client's public key, in PEM at the longest */
	LIMIT_SMCP_KEYS = 16, /* signing keys that are kept, old ones included */
	LIMIT_SMCP_SESSIONS = 65536, /* active ones */
	LIMIT_SMCP_SESSIONS_PER_EXECUTION = 16,
	LIMIT_MCP_SESSIONS = 4096, /* open ones of MCP clients */
	LIMIT_MCP_SESSIONS_PER_CONTEXT = 1024, /* then the longest unused one is closed */
	LIMIT_SMCP_REMEMBERED_CALLS = 4 * 1024 * 1024, /* within about a minute, against replays */

	/* Files */
	LIMIT_FSAL_LIST_ENTRIES = 100000, /* of one folder */
	LIMIT_FSAL_OBJECTS = 256 * 1024, /* cached by one layer, about 400 bytes each */
	LIMIT_FSAL_RECORD_BYTES = 4 * 1024 * 1024, /* records that wait for their observer */
	LIMIT_FSAL_RECORDS_BURST = 50000, /* of one attachment that are told one by one at once, */
	LIMIT_FSAL_RECORDS_PER_SECOND = 1000, /* and then */
	LIMIT_FSAL_DENIALS_BURST = 1000, /* the same of what was denied */
	LIMIT_FSAL_DENIALS_PER_SECOND = 100,
	LIMIT_FSAL_DESCRIPTORS = 16 * 1024, /* open at a time for one volume */

	/* Volumes */
	LIMIT_VOLUME_HOLDERS = 64, /* executions that have one at a time */
	LIMIT_VOLUME_MOUNTS = 8, /* of one sandbox, beside its workspace */
	LIMIT_VOLUME_MAKING_S = 120, /* for the file system of one with a limit of size */
	LIMIT_VOLUME_PLACE_BYTES = 256, /* where one is mounted, below /workspace */
	LIMIT_UPLOAD_BYTES = 1024 * 1024 * 1024, /* one file that comes in over HTTP */
	LIMIT_UPLOADS = 16, /* and downloads, at a time */
	LIMIT_MULTIPART_HEAD_BYTES = 8 * 1024, /* of one part of a form */

	/* ONC RPC and NFS */
	LIMIT_NFS_IO_BYTES = 1024 * 1024, /* of one READ or WRITE: rtmax, wtmax */
	LIMIT_NFS_LISTING_BYTES = 64 * 1024, /* of one READDIR or READDIRPLUS */
	LIMIT_NFS_MOUNTS = 1024, /* that DUMP shows, of one server */
	LIMIT_NFS_CONNECTIONS = 1024, /* of one server */
	LIMIT_NFS_CONNECTION_CALLS = 256, /* of one connection that wait for something */
	LIMIT_NFS_CALLS = 1024, /* likewise, of one server */
	LIMIT_NFS_BUFFERS = 32, /* of LIMIT_RPC_RECORD_BYTES, of one server */
	LIMIT_NFS_REPLIES = 4096, /* remembered by one server, 512 bytes each */
	LIMIT_RPC_RECORD_BYTES = 1024 * 1024 + 4096, /* one WRITE and its head */
	LIMIT_RPC_FRAGMENTS = 1024, /* of one record */

	/* Tool calls */
	LIMIT_TOOL_ARGUMENT_BYTES = 4 * 1024 * 1024, /* of all arguments of a call */
	LIMIT_TOOL_FILE_BYTES = 4 * 1024 * 1024, /* of a file that is edited or searched */
	LIMIT_TOOL_OUTPUT_BYTES = 256 * 1024, /* of what a file tool answers; the tail is kept */
	LIMIT_TOOL_EDITS = 256,
	LIMIT_TOOL_SEARCH_FILES = 50000, /* looked at by one fs.grep or fs.glob */
	LIMIT_TOOL_SEARCH_DEPTH = 64,

	/* Tool servers: what a server may say */
	LIMIT_TOOLSERVERS = 64, /* of a node */
	LIMIT_TOOLSERVER_MESSAGE_BYTES = 8 * 1024 * 1024, /* one JSON-RPC message */
	LIMIT_TOOLSERVER_MESSAGE_DEPTH = 64,
	LIMIT_TOOLSERVER_ARENA_BYTES = 64 * 1024 * 1024, /* one message, parsed */
	LIMIT_TOOLSERVER_TOOLS = 256, /* of one server */
	LIMIT_TOOLSERVER_LISTED = 4096, /* tools in one list, offered or not */
	LIMIT_TOOLSERVER_PAGES = 64, /* of one list */
	LIMIT_TOOLSERVER_NAME_BYTES = 64, /* of a tool, as the server calls it */
	LIMIT_TOOLSERVER_DESCRIPTION_BYTES = 4096, /* longer ones are cut */
	LIMIT_TOOLSERVER_SCHEMA_BYTES = 32 * 1024, /* of one tool */
	LIMIT_TOOLSERVER_CALLS = 64, /* under way at one server */
	LIMIT_TOOLSERVER_STRAY_LINES = 32, /* that are no message, in one life of a server */
	LIMIT_TOOLSERVER_UNASKED = 1000, /* messages in one second that nobody asked for */

	/* Templates of prompts */
	LIMIT_TEMPLATE_BYTES = 1024 * 1024,
	LIMIT_TEMPLATE_DEPTH = 32, /* blocks in blocks */
	LIMIT_TEMPLATE_STEPS = 1000 * 1000, /* nodes visited by one rendering */

	/* Executions */
	LIMIT_EXECUTION_QUEUE = 1000, /* pending ones */
	LIMIT_EXECUTION_INPUT_BYTES = 1024 * 1024,
	LIMIT_EXECUTION_TEXT_BYTES = 4096, /* intent, reason of a cancellation */
	LIMIT_EXECUTION_PROMPT_BYTES = 96 * 1024, /* one argument of exec has at most 128 KiB */
	LIMIT_EXECUTION_HISTORY_BYTES = 64 * 1024, /* of earlier attempts, the newest kept */
	LIMIT_EXECUTION_OUTPUT_BYTES = 2 * 1024 * 1024, /* result of an iteration */
	LIMIT_EXECUTION_ROUNDS = 50, /* turns of one conversation */
	LIMIT_EXECUTION_MESSAGES = 4096, /* of one conversation */
	LIMIT_EXECUTION_ARENA_BYTES = 32 * 1024 * 1024, /* of a whole execution */
	LIMIT_ITERATION_ARENA_BYTES = 256 * 1024 * 1024, /* of one iteration's conversations */
	LIMIT_REQUEST_ID_BYTES = 128,
	LIMIT_SANDBOX_CONNECTIONS = 16, /* to the gateway, of one sandbox */
	LIMIT_SANDBOX_LOG_BYTES = 64 * 1024, /* the tail is kept */
	LIMIT_SANDBOX_KEPT_CALLS = 8, /* closed, with processes left that have rules of their own */

	/* Conversations with models */
	LIMIT_LLM_REQUEST_BYTES = 8 * 1024 * 1024,
	LIMIT_LLM_REPLY_BYTES = 8 * 1024 * 1024,
	LIMIT_LLM_RECORDING_BYTES = 16 * 1024 * 1024,
	LIMIT_LLM_TOOL_CALLS = 64, /* of one turn */
	LIMIT_LLM_TOOL_NAME_BYTES = 128,
	LIMIT_LLM_URL_BYTES = 2048,

	LIMIT_PROGRAM_BYTES = 1024 * 1024 * 1024, /* of an executed file that is hashed */
	LIMIT_DENIALS_PER_SECOND = 100, /* told one by one, of one sandbox; more are counted */

	/* The DNS proxy, per sandbox */
	LIMIT_RESOLVER_IN_FLIGHT = 32, /* questions; more are passed over */
	LIMIT_RESOLVER_CONNECTIONS = 4,
	LIMIT_RESOLVER_QUESTION_BYTES = 512,
	LIMIT_RESOLVER_BURST = 100, /* questions at once, after a silence */
	LIMIT_RESOLVER_PER_SECOND = 20,
	LIMIT_RESOLVER_TTL_S = 3600, /* an address is asked for again after that */
	LIMIT_RESOLVER_CONF_BYTES = 64 * 1024,

	/* The HTTP API */
	LIMIT_API_BODY_BYTES = 4 * 1024 * 1024,
	LIMIT_API_MANIFEST_BYTES = 1024 * 1024,
	LIMIT_API_MANIFEST_ARENA_BYTES = 64 * 1024 * 1024, /* a manifest parsed, with its report */
	LIMIT_API_REPLY_BYTES = 64 * 1024 * 1024,
};
