// LivePage: the built-in page of a location with "live_page on": a chat room and live counters in the browser.
//
// Owner      Worker; one per process.
// Files      worker/api/live/, compiled in; index.html answers for the location itself, the others for their
//            names below it, everything else is 404.  The page asks nothing of any other host.
// Caching    A strong ETag over the file's bytes, revalidated on every use.
// Security   A Content-Security-Policy that allows this origin's own script, style, picture and connections.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "worker/http/exchange.h"

namespace beamgate::api {

// One compiled-in file; the array is written by .cmake/EmbedFiles.cmake.
struct EmbeddedFile {
  std::string_view name;
  std::string_view bytes;
};
extern const EmbeddedFile kLiveFiles[];
extern const size_t kLiveFileCount;

class LivePage final : public http::Handler {
 public:
  LivePage();

  void handle(http::Exchange& exchange) override;

 private:
  struct File {
    EmbeddedFile file;
    std::string media_type;
    std::string etag;  // Quotes included.
  };

  const File* find(std::string_view name) const;

  std::vector<File> files_;
};

// RFC 9110 section 13.1.2: whether an If-None-Match names this entity tag (weak comparison) or is "*".
bool etag_matches(std::string_view if_none_match, std::string_view etag);

}  // namespace beamgate::api
