#include <algorithm>

#include "common/base/bytes.h"
#include "common/config/regex.h"
#include "common/config/schema.h"
#include "common/config/store.h"

namespace beamgate::config {
namespace {

constexpr auto kGzip = &Location::gzip;

void set_types(Setting& setting) {
  Gzip& gzip = setting.frame.location->gzip;
  gzip.types = {"text/html"};
  gzip.all_types = false;
  for (size_t i = 0; i < setting.count(); ++i) {
    const std::string type = to_lower(setting.arg(i));
    if (type == "*") {
      gzip.all_types = true;
    } else if (type.find('/') == std::string::npos) {
      setting.fail(i, "expected a media type, or \"*\"");
    } else if (type != "text/html") {
      gzip.types.push_back(type);
    }
  }
}

struct ProxiedWord {
  std::string_view word;
  uint32_t bits;
};

constexpr ProxiedWord kProxiedWords[] = {
    {"off", 0},
    {"expired", kProxiedExpired},
    {"no-cache", kProxiedNoCache},
    {"no-store", kProxiedNoStore},
    {"private", kProxiedPrivate},
    {"no_last_modified", kProxiedNoLastModified},
    {"no_etag", kProxiedNoEtag},
    {"auth", kProxiedAuth},
    {"any", kProxiedAny},
};

void set_proxied(Setting& setting) {
  uint32_t& mask = setting.frame.location->gzip.proxied;
  mask = 0;
  for (size_t i = 0; i < setting.count(); ++i) {
    const auto* found = std::find_if(std::begin(kProxiedWords), std::end(kProxiedWords),
                                     [&](const ProxiedWord& known) { return known.word == setting.arg(i); });
    if (found == std::end(kProxiedWords) || (found->bits == 0 && setting.count() > 1)) {
      return setting.fail(i, "expected \"expired\", \"no-cache\", \"no-store\", \"private\", \"no_last_modified\", "
                             "\"no_etag\", \"auth\" or \"any\", or \"off\" alone");
    }
    mask |= found->bits;
  }
}

void set_http_version(Setting& setting) {
  if (setting.arg() != "1.0" && setting.arg() != "1.1") return setting.fail(0, "expected \"1.0\" or \"1.1\"");
  setting.frame.location->gzip.http_minor = setting.arg() == "1.1" ? 1 : 0;
}

void set_disable(Setting& setting) {
  auto& disabled = setting.frame.location->gzip.disabled;
  disabled.clear();
  for (size_t i = 0; i < setting.count(); ++i) {
    Regex::CompileError error;
    const std::string pattern = setting.arg(i) == "msie6" ? "MSIE [4-6]\\." : setting.arg(i);
    const auto regex = Regex::compile(pattern, true, error);
    if (regex == nullptr) return setting.fail(i, error.text + " at offset " + std::to_string(error.offset));
    disabled.push_back(regex);
  }
}

void set_static(Setting& setting) {
  using Static = Gzip::Static;
  Static& out = setting.frame.location->gzip.files;
  if (setting.arg() == "off") {
    out = Static::Off;
  } else if (setting.arg() == "on") {
    out = Static::On;
  } else if (setting.arg() == "always") {
    out = Static::Always;
  } else {
    setting.fail(0, "expected \"on\", \"off\" or \"always\"");
  }
}

constexpr Directive kRows[] = {
    {.name = "gzip",
     .scopes = kHttpServerLocation,
     .set = store_flag<kGzip, &Gzip::on>,
     .syntax = "on | off",
     .fallback = "off",
     .help = "Compresses responses with status 200, 403 or 404 for clients that accept gzip.  Left as they are: what "
             "has a Content-Encoding or \"Cache-Control: no-transform\", parts of a file, and answers to HEAD.  A "
             "strong ETag becomes weak, and Range is ignored for what is compressed.  Each response takes 268 KiB "
             "of memory while it is being compressed, and above 1024 at a time in a worker more go uncompressed.  Beware of BREACH: where a page over TLS has a secret beside "
             "what others may choose, such as a query it repeats, its compressed length tells of the secret; don't "
             "compress such pages."},
    {.name = "gzip_types",
     .scopes = kHttpServerLocation,
     .arity = at_least(1),
     .set = set_types,
     .syntax = "type ...",
     .fallback = "text/html",
     .help = "Media types that are compressed; * for all.  text/html always is."},
    {.name = "gzip_min_length",
     .scopes = kHttpServerLocation,
     .set = store_bytes<kGzip, &Gzip::bytes_min>,
     .syntax = "size",
     .fallback = "20",
     .min = "0",
     .max = "1g",
     .help = "Shorter responses are left as they are, where their length is known."},
    {.name = "gzip_comp_level",
     .scopes = kHttpServerLocation,
     .set = store_number<kGzip, &Gzip::level>,
     .syntax = "number",
     .fallback = "1",
     .min = "1",
     .max = "9",
     .help = "How much time is given for how small a result."},
    {.name = "gzip_vary",
     .scopes = kHttpServerLocation,
     .set = store_flag<kGzip, &Gzip::vary>,
     .syntax = "on | off",
     .fallback = "off",
     .help = "Adds \"Vary: Accept-Encoding\" to responses that would be compressed for some clients.  Needed wherever "
             "a cache stands in front; off as in nginx."},
    {.name = "gzip_proxied",
     .scopes = kHttpServerLocation,
     .arity = at_least(1),
     .set = set_proxied,
     .syntax = "off | expired | no-cache | no-store | private | no_last_modified | no_etag | auth | any ...",
     .fallback = "off",
     .help = "Which responses are compressed for requests that came through a proxy, by their Via: those that "
             "caches don't keep, or any."},
    {.name = "gzip_http_version",
     .scopes = kHttpServerLocation,
     .set = set_http_version,
     .syntax = "1.0 | 1.1",
     .fallback = "1.1",
     .help = "The least version of a request whose response is compressed."},
    {.name = "gzip_disable",
     .scopes = kHttpServerLocation,
     .arity = at_least(1),
     .set = set_disable,
     .syntax = "regex ...",
     .help = "Clients that get nothing compressed, by their User-Agent, without regard to case."},
    {.name = "gzip_static",
     .scopes = kHttpServerLocation,
     .set = set_static,
     .syntax = "on | off | always",
     .fallback = "off",
     .help = "Whether a file's .gz beside it is sent in its place: to clients that accept gzip, or always.  It is "
             "independent of gzip, and costs nothing to compress."},
};
static_assert(sound(kRows));

}  // namespace

std::span<const Directive> gzip_directives() {
  return kRows;
}

}  // namespace beamgate::config
