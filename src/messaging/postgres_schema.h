// The tables of the message service in PostgreSQL, in the schema `heddle_messages`.
#pragma once

#include <libpq-fe.h>

#include <string>

#include "base/result.h"

namespace heddle::messaging {

// Makes schema, tables and functions where they are missing; servers that start at once make them
// once. An error when they are of another version. Blocks; not in pipeline mode.
Result<void> prepare_postgres_schema(PGconn* connection);

// The secret of the database (Storage::secret).
Result<std::string> postgres_secret(PGconn* connection);

// Whether a commit is on the disk of the server: not so with fsync=off.
bool postgres_syncs(PGconn* connection);

}  // namespace heddle::messaging
