"""From texts and documents to relations, with the reasons for them."""
