#include "common/config/field.h"
#include "common/config/origins.h"
#include "common/config/schema.h"
#include "common/config/store.h"
#include "common/config/token_name.h"

namespace beamgate::config {
namespace {

constexpr size_t kChannelsMax = 64;  // Of one location.
constexpr std::string_view kArgument = "argument=";

void read_argument(Setting& setting, size_t i, ChannelList& list) {
  const std::string name = setting.arg(i).substr(kArgument.size());
  if (!is_token(name)) return setting.fail(i, "expected the name of an argument");
  if (!list.argument.empty()) return setting.fail(i, "the second argument");
  list.argument = name;
}

void read_channels(Setting& setting, Action action, ChannelList& list) {
  if (!setting.choose(action)) return;
  list = {};
  for (size_t i = 0; i < setting.count(); ++i) {
    if (setting.arg(i).starts_with(kArgument)) {
      read_argument(setting, i, list);
      continue;
    }
    Template channel;
    if (!setting.parse_template(i, channel)) continue;
    if (channel.empty()) {
      setting.fail(i, "expected a channel");
    } else if (list.names.size() >= kChannelsMax) {
      setting.fail(i, "more than " + std::to_string(kChannelsMax) + " channels");
    } else {
      list.names.push_back(std::move(channel));
    }
  }
}

void set_sse(Setting& setting) {
  read_channels(setting, Action::EventStream, setting.frame.location->event_stream.channels);
}

void set_sse_origins(Setting& setting) {
  read_origins(setting, setting.frame.location->event_stream.cross_origin.origins);
}

void set_sse_token(Setting& setting) {
  setting.frame.location->event_stream.token = read_token_name(setting);
}

void set_sse_slow_reader(Setting& setting) {
  EventStreamAction& action = setting.frame.location->event_stream;
  if (setting.arg() == "close") {
    action.slow_reader = WebSocketAction::SlowReader::Close;
  } else if (setting.arg() == "drop_oldest") {
    action.slow_reader = WebSocketAction::SlowReader::DropOldest;
  } else {
    setting.fail(0, "expected \"close\" or \"drop_oldest\"");
  }
}

void set_longpoll(Setting& setting) {
  read_channels(setting, Action::LongPoll, setting.frame.location->long_poll.channels);
}

void set_longpoll_token(Setting& setting) {
  setting.frame.location->long_poll.token = read_token_name(setting);
}

void set_longpoll_origins(Setting& setting) {
  read_origins(setting, setting.frame.location->long_poll.cross_origin.origins);
}

constexpr auto kStream = &Location::event_stream;
constexpr auto kPoll = &Location::long_poll;

constexpr Directive kRows[] = {
    {.name = "sse",
     .scopes = kLocation,
     .arity = at_least(1),
     .set = set_sse,
     .syntax = "channel ... | argument=name",
     .help = "Answers GET with what is published to these channels, as events (text/event-stream); their names may "
             "contain variables.  With argument=name, each argument of that name in the query is a channel too.  "
             "Channels that the request has named, by a variable or an argument, are subject to their rules "
             "(channels, subscribe): a token is shown as sse_token says, a webhook is asked before the answer "
             "begins.  Those that stand here as they are need neither.  An event's id says how far its reader "
             "is: with the field Last-Event-ID, or the argument last_event_id, it goes on from there where the "
             "channels' histories reach back far enough, and else is sent the event beamgate.reset."},
    {.name = "sse_origins",
     .scopes = kHttpServerLocation,
     .arity = at_least(1),
     .set = set_sse_origins,
     .syntax = "any | origin ...",
     .fallback = "any",
     .help = "Origins whose pages may read the events (CORS), as websocket_origins; others get 403."},
    {.name = "sse_credentials",
     .scopes = kHttpServerLocation,
     .set = store_flag<kStream, &EventStreamAction::cross_origin, &CrossOrigin::credentials>,
     .syntax = "on | off",
     .fallback = "off",
     .help = "Whether pages of the origins that sse_origins names may send their cookies.  Nothing where it names any."},
    {.name = "sse_token",
     .scopes = kServer | kLocation,
     .set = set_sse_token,
     .syntax = "name | off",
     .fallback_help = "off",
     .help = "The token block whose signed tokens requests show, as Authorization: Bearer, or as the argument token, "
             "which EventSource needs; a request with none, or a wrong one, gets 401.  Its user is the subscriber's.  "
             "What it names as \"channel\", or in the list \"channels\", may be followed where the channel's rules "
             "say \"subscribe token\"; the argument may come several times.  A stream ends when its first token does."},
    {.name = "sse_keepalive",
     .scopes = kHttpServerLocation,
     .set = store_time<kStream, &EventStreamAction::keepalive_ms>,
     .syntax = "time",
     .fallback = "15s",
     .min = "0",
     .max = "1d",
     .help = "How often a comment is sent, so that nobody on the way takes the connection for dead; 0 never does."},
    {.name = "sse_retry",
     .scopes = kHttpServerLocation,
     .set = store_time<kStream, &EventStreamAction::retry_ms>,
     .syntax = "time",
     .fallback = "2s",
     .min = "0",
     .max = "1h",
     .help = "How long a client shall wait before it connects again; 0 leaves that to the client."},
    {.name = "sse_send_queue",
     .scopes = kHttpServerLocation,
     .set = store_bytes<kStream, &EventStreamAction::send_queue_bytes>,
     .syntax = "size",
     .fallback = "1m",
     .min = "4k",
     .max = "1g",
     .help = "Bytes that wait for one client; sse_slow_reader says what happens when there are more.  What is "
             "recovered at once may be more."},
    {.name = "sse_slow_reader",
     .scopes = kHttpServerLocation,
     .set = set_sse_slow_reader,
     .syntax = "close | drop_oldest",
     .fallback = "close",
     .help = "close ends a stream whose queue is full: its client comes back and goes on from its last event.  "
             "drop_oldest forgets what waits, and says so with the event beamgate.reset."},
    {.name = "longpoll",
     .scopes = kLocation,
     .arity = at_least(1),
     .set = set_longpoll,
     .syntax = "channel ... | argument=name",
     .help = "Answers GET with what was published to these channels, as JSON, once there is something; channels as "
             "for sse.  The answer's cursor, also its ETag, is given with the next request, as the argument since or "
             "the field If-None-Match; a request without one waits for what comes next."},
    {.name = "longpoll_token",
     .scopes = kServer | kLocation,
     .set = set_longpoll_token,
     .syntax = "name | off",
     .fallback_help = "off",
     .help = "As sse_token; each request shows it anew."},
    {.name = "longpoll_timeout",
     .scopes = kHttpServerLocation,
     .set = store_time<kPoll, &LongPollAction::timeout_ms>,
     .syntax = "time",
     .fallback = "25s",
     .min = "100ms",
     .max = "1h",
     .help = "How long a request waits; then the answer is 204, with the cursor as ETag."},
    {.name = "longpoll_publications",
     .scopes = kHttpServerLocation,
     .set = store_number<kPoll, &LongPollAction::publications_max>,
     .syntax = "number",
     .fallback = "100",
     .min = "1",
     .max = "10000",
     .help = "Publications in one answer; the next one has the rest."},
    {.name = "longpoll_origins",
     .scopes = kHttpServerLocation,
     .arity = at_least(1),
     .set = set_longpoll_origins,
     .syntax = "any | origin ...",
     .fallback = "any",
     .help = "Origins whose pages may read the answers (CORS), as websocket_origins; others get 403."},
    {.name = "longpoll_credentials",
     .scopes = kHttpServerLocation,
     .set = store_flag<kPoll, &LongPollAction::cross_origin, &CrossOrigin::credentials>,
     .syntax = "on | off",
     .fallback = "off",
     .help = "As sse_credentials."},
};
static_assert(sound(kRows));

}  // namespace

std::span<const Directive> streams_directives() {
  return kRows;
}

}  // namespace beamgate::config
