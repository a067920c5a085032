// Embedded files: what is compiled in of a web page, answered by name.
//
// Owner      The handler that serves the page.
// Caching    A strong ETag over the file's bytes, revalidated on every use.
// Security   nosniff, and the page's Content-Security-Policy and Referrer-Policy on every answer.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "worker/http/exchange.h"

namespace beamgate::api {

// One compiled-in file; the arrays are written by .cmake/EmbedFiles.cmake.
struct EmbeddedFile {
  std::string_view name;
  std::string_view bytes;
};

class EmbeddedFiles {
 public:
  struct Policies {
    const char* content_security;
    const char* referrer;
  };

  EmbeddedFiles(std::span<const EmbeddedFile> files, const Policies& policies);

  // Answers with the file of that name, or 404.
  void answer(http::Exchange& exchange, std::string_view name) const;

  // Empty: there is none.
  std::string_view bytes_of(std::string_view name) const;
  // Of every answer of the page.
  std::vector<http::ResponseField> security_fields() const;

 private:
  struct File {
    EmbeddedFile file;
    std::string media_type;
    std::string etag;  // Quotes included.
  };

  const File* find(std::string_view name) const;

  const Policies policies_;
  std::vector<File> files_;
};

// RFC 9110 section 13.1.2: whether an If-None-Match names this entity tag (weak comparison) or is "*".
bool etag_matches(std::string_view if_none_match, std::string_view etag);

}  // namespace beamgate::api
