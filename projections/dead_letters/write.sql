-- name: note
INSERT INTO dead_letter_retries (letter, put_back_at)
SELECT letter, to_timestamp($2 / 1000000.0) FROM unnest($1::text[]) AS back (letter)
ORDER BY letter
ON CONFLICT DO NOTHING;

-- name: claim
INSERT INTO dead_letter_retries AS held (letter, put_back_at, source, source_offset)
SELECT letter, to_timestamp($4 / 1000000.0), $1, min(source_offset)
FROM unnest($2::text[], $3::bigint[]) AS back (letter, source_offset)
GROUP BY letter
ORDER BY letter
ON CONFLICT (letter) DO UPDATE SET source = excluded.source, source_offset = excluded.source_offset
WHERE held.source IS NULL
    OR (held.source = excluded.source AND held.source_offset = excluded.source_offset)
RETURNING source_offset;
