#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <unistd.h>

#include "common/config/embedded_file.h"
#include "common/config/log_path.h"
#include "common/config/network.h"
#include "common/config/schema.h"
#include "common/config/store.h"

namespace beamgate::config {
namespace {

uint32_t cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return static_cast<uint32_t>(CPU_COUNT(&set));
  return 1;
}

// A container without a user database still has to start as whoever it is, hence no error for the fallback.
void set_user(Setting& setting) {
  Config& config = *setting.loader.config;
  const bool written = setting.statement.name.at.line != 0;
  if (written && getpwnam(setting.arg(0).c_str()) == nullptr) return setting.fail(0, "no such user");
  if (setting.count() == 2 && getgrnam(setting.arg(1).c_str()) == nullptr) {
    return setting.fail(1, "no such group");
  }
  if (written && geteuid() != 0) {
    setting.warn_at(setting.statement.name.at,
                    "the \"user\" directive makes sense only if the master process runs with super-user "
                    "privileges, ignored");
  }
  config.user = setting.arg(0);
  config.group = setting.count() == 2 ? setting.arg(1) : "";
}

void set_worker_processes(Setting& setting) {
  // A machine may have more cores than the row allows workers; auto must not fail there.
  const auto most = static_cast<uint32_t>(*parse_number(setting.row.max));
  if (setting.arg() == "auto") setting.replace(0, std::to_string(std::min(cores(), most)));
  store_number<&Config::worker_processes>(setting);
}

// There is one error log.  nginx has one for each server, and several at a time.
void set_error_log(Setting& setting) {
  Config& config = *setting.loader.config;
  if (setting.frame.scope != kMain || !setting.first(setting.row.name)) {
    return setting.warn_at(setting.statement.name.at,
                           "this \"error_log\" is ignored: one is written, which the first outside of all blocks names");
  }
  if (setting.arg(0) == "stderr") {
    config.error_log_path = "stderr";
  } else if (!read_log_path(setting, config.error_log_path)) {
    return;
  }
  config.error_log_level = log::Level::Error;
  if (setting.count() == 2 && !log::parse_level(setting.arg(1), config.error_log_level)) {
    setting.fail(1, "expected debug, info, notice, warn, error, crit, alert or emerg");
  }
}

void set_pid(Setting& setting) {
  setting.loader.config->pid_path = setting.arg() == "off" ? "" : setting.path(0);
}

// The reader puts an included file's statements in the place of a well-formed include; what arrives here
// has been counted and refused, or is empty.
void set_include(Setting&) {}

void enter_events(Setting& setting) {
  Frame frame;
  frame.scope = kEvents;
  frame.parent = &setting.frame;
  setting.loader.run_block(frame, setting.statement.children);
}

// Under the path, which directives that name it look for first.
void add_embedded_file(Setting& setting) {
  Secret bytes;
  if (!decode_embedded(setting.statement, bytes)) return setting.error("\"embedded_file\" has text that is no base64");
  setting.loader.files[setting.arg(0)] = std::move(bytes);
}

// What "beamgate ctl" asks for.  Nothing of it is inherited from http, so that no deny there locks out whoever may open
// the socket.
std::vector<Statement> control_server(const std::string& path) {
  std::string text = R"(server { listen unix:; server_name beamgate.control;
    location = /status { status; } location = /metrics { metrics; } location = /log_level { log_level_switch; }
    location /api/ { api on; client_max_body_size 0; }
    location = /tap_user { websocket raw; websocket_send_queue 16m; websocket_slow_reader drop_oldest;
      add_header X-Connection $connection_id always; }
    location = /tap { websocket raw; websocket_subscribe $http_x_channel; websocket_send_queue 16m; }
    location = /tap_reserved { websocket raw; websocket_subscribe "#$http_x_channel"; websocket_send_queue 16m; } })";
  std::vector<Source> sources;
  Diagnostics diagnostics;
  std::vector<Statement> statements;
  StatementReader reader(sources, diagnostics, "/");
  reader.read_text("control", std::move(text), statements);
  BG_ASSERT(!diagnostics.has_errors() && statements.size() == 1);
  statements[0].children[0].args[0].text += path;
  return statements;
}

void set_control(Setting& setting) {
  if (setting.arg() == "off") return;
  if (!setting.arg().starts_with("unix:") || setting.arg().size() == 5) return setting.fail(0, "expected \"unix:path\" or \"off\"");
  Loader& loader = setting.loader;
  const std::string path = loader.absolute(setting.arg().substr(5));
  Address address;
  std::string error;
  if (!unix_address(path, address, error)) return setting.fail(0, error);
  setting.replace(0, "unix:" + path);
  Server prototype;
  Frame frame;
  frame.scope = kHttp;
  frame.parent = &setting.frame;
  frame.server = &prototype;
  frame.location = &prototype.fallback;
  const Resolver resolver = loader.config->http.resolver;  // What http has said of all servers stays.
  loader.set_fallbacks(frame);
  loader.config->http.resolver = resolver;
  std::vector<Statement> statements = control_server(path);
  loader.run_block(frame, statements);
  if (loader.config->http.servers.empty()) return;  // So many errors that nothing more is read.
  loader.config->http.servers.back().listens[0].owner_only = true;
  loader.config->control_path = path;
}

constexpr Directive kRows[] = {
    {.name = "include",
     .scopes = kAnywhere,
     .repeatable = true,
     .set = set_include,
     .syntax = "file | pattern",
     .applies = Applies::Now,
     .help = "Reads other files in this place.  A relative path starts at the directory of the main "
             "configuration file; a pattern without a match is no error.  mime.types, fastcgi_params and fastcgi.conf "
             "are also built in, for where there is no such file."},
    {.name = "embedded_file",
     .scopes = kMain,
     .arity = at_least(2),
     .phase = Phase::Define,
     .repeatable = true,
     .set = add_embedded_file,
     .syntax = "path base64 ...",
     .secret = true,
     .help = "What is in a certificate's or key's file, which is then not read.  The master puts it into the "
             "configuration that it hands to workers; hardly for people."},
    {.name = "user",
     .scopes = kMain,
     .arity = between(1, 2),
     .set = set_user,
     .syntax = "user [group]",
     .fallback = "nobody",
     .applies = Applies::Restart,
     .help =
         "Who the workers run as when the master is root.  Without a group it is the user's primary group."},
    {.name = "worker_processes",
     .scopes = kMain,
     .set = set_worker_processes,
     .syntax = "number | auto",
     .fallback = "auto",
     .min = "1",
     .max = "128",
     .applies = Applies::Now,
     .help = "Number of workers; auto is one for each core."},
    {.name = "memory_limit",
     .scopes = kMain,
     .set = store_bytes<&Config::memory_limit_bytes>,
     .syntax = "size",
     .fallback = "0",
     .min = "0",
     .max = "1048576g",
     .applies = Applies::Now,
     .help = "Memory in use by one worker, above which it answers new requests and WebSocket handshakes with 503 and closes "
             "their connections, until it is below again; pages of status and metrics are served all the same.  0 sets "
             "no limit."},
    {.name = "worker_rlimit_nofile",
     .scopes = kMain,
     .set = store_number<&Config::worker_rlimit_nofile>,
     .syntax = "number",
     .fallback_help = "the limit that the master was started with",
     .min = "64",
     .max = "1073741816",
     .applies = Applies::Restart,
     .help = "Open files that a worker may have."},
    {.name = "worker_shutdown_timeout",
     .scopes = kMain,
     .set = store_time<&Config::worker_shutdown_timeout_ms>,
     .syntax = "time",
     .fallback = "30s",
     .min = "0",
     .max = "1d",
     .applies = Applies::Now,
     .help = "Time that a graceful stop may take; closes of WebSockets are spread over it."},
    {.name = "worker_keeper",
     .scopes = kMain,
     .set = store_flag<&Config::worker_keeper>,
     .syntax = "on | off",
     .fallback = "on",
     .applies = Applies::Restart,
     .help =
         "Whether each worker has a keeper, a small process that holds its connections when it dies and lets a "
         "successor go on with them.  off: a worker that dies loses its connections."},
    {.name = "worker_sandbox",
     .scopes = kMain,
     .set = store_flag<&Config::worker_sandbox>,
     .syntax = "on | off",
     .fallback = "on",
     .applies = Applies::Restart,
     .help =
         "Whether workers give up, before they serve, what they don't need of the kernel: all capabilities, system calls "
         "that are not on a list, memory that is writable and executable, executing anything, and access to other "
         "processes' memory.  What the kernel doesn't have is done without, with a warning.  See beamgate-security(7)."},
    {.name = "master_keeper",
     .scopes = kMain,
     .set = store_flag<&Config::master_keeper>,
     .syntax = "on | off",
     .fallback = "on",
     .applies = Applies::Restart,
     .help =
         "Whether the master has a keeper, a small process that holds what the workers need of it when it is "
         "killed: they serve on, and the next beamgate that is started with the same pid file goes on with them.  "
         "off, or without a pid file: workers whose master dies end gracefully."},
    {.name = "upgrade_trial",
     .scopes = kMain,
     .set = store_time<&Config::upgrade_trial_ms>,
     .syntax = "time",
     .fallback = "2s",
     .min = "0",
     .max = "1h",
     .applies = Applies::Now,
     .help =
         "How long each worker of a new binary serves a few connections before it is given the others.  When it dies "
         "meanwhile, or closes some of them for protocol errors, the upgrade is undone.  0: no trial."},
    {.name = "worker_watchdog",
     .scopes = kMain,
     .set = store_time<&Config::worker_watchdog_ms>,
     .syntax = "time",
     .fallback = "10s",
     .min = "0",
     .max = "1d",
     .applies = Applies::Now,
     .help =
         "A worker that has been stuck for this long is ended by its keeper, and the connection it was serving is "
         "closed; 0 waits for ever."},
    {.name = "error_log",
     .scopes = kMain | kHttpServerLocation,
     .arity = between(1, 2),
     .repeatable = true,
     .set = set_error_log,
     .syntax = "file | stderr | syslog:server=address[,facility=name][,tag=word][,nohostname] [level]",
     .fallback = "stderr notice",
     .applies = Applies::Now,
     .help =
         "Where and from which level on events are logged: debug, info, notice, warn, error (when no level "
         "is given), crit, alert, emerg.  A syslog server is given as for access_log; a journal that reads stderr is told "
         "each event's level.  There is one error log: what stands in http, server and location, or a second time, is ignored."},
    {.name = "pid",
     .scopes = kMain,
     .set = set_pid,
     .syntax = "file | off",
     .fallback = "/run/beamgate.pid",
     .applies = Applies::Restart,
     .help = "File with the master's process id, which beamgate -s reads; off writes none."},
    {.name = "control",
     .scopes = kMain,
     .phase = Phase::Enter,
     .set = set_control,
     .syntax = "unix:path | off",
     .fallback_help = "off",
     .applies = Applies::Now,
     .help = "A unix socket for \"beamgate ctl\", which only the master's user may open: whoever may, can do everything that "
             "the API can, on all connections."},
    {.name = "daemon",
     .scopes = kMain,
     .set = store_flag<&Config::daemon>,
     .syntax = "on | off",
     .fallback = "on",
     .applies = Applies::Restart,
     .help = "Whether the master detaches from the terminal that started it."},
    {.name = "master_process",
     .scopes = kMain,
     .set = store_flag<&Config::master_process>,
     .syntax = "on | off",
     .fallback = "on",
     .applies = Applies::Restart,
     .help = "off runs a single worker, whatever worker_processes says; for developers."},
    {.name = "working_directory",
     .scopes = kMain,
     .set = store_path<&Config::working_directory>,
     .syntax = "directory",
     .applies = Applies::Restart,
     .help = "Current directory of the workers, where a core file would be written."},
    {.name = "bus_queue",
     .scopes = kMain,
     .set = store_bytes<&Config::bus_queue_bytes>,
     .syntax = "size",
     .fallback = "64m",
     .min = "1m",
     .max = "16g",
     .applies = Applies::Now,
     .help = "Publications that the master holds for one worker that can't keep up; more are dropped and "
             "counted."},
    {.name = "history_memory",
     .scopes = kMain,
     .set = store_bytes<&Config::history_bytes_max>,
     .syntax = "size",
     .fallback = "256m",
     .min = "0",
     .max = "1000g",
     .applies = Applies::Now,
     .help = "What the histories of all channels may take together; the oldest publications go first."},
    {.name = "publication_max",
     .scopes = kMain,
     .set = store_bytes<&Config::publication_bytes_max>,
     .syntax = "size",
     .fallback = "1m",
     .min = "1k",
     .max = "16m",
     .applies = Applies::Now,
     .help = "Largest payload of one publication; a bigger one is refused."},
    {.name = "events",
     .scopes = kMain,
     .arity = exactly(0),
     .body = Body::Block,
     .phase = Phase::Enter,
     .set = enter_events,
     .applies = Applies::Now,
     .help = "Holds the connection limits of a worker."},
};
static_assert(sound(kRows));

}  // namespace

std::span<const Directive> main_directives() {
  return kRows;
}

}  // namespace beamgate::config
