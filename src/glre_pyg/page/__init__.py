"""The page: documents, the relations found in them and the reasons, as one HTML file. No torch.

``page.html``, ``page.css`` and the three scripts are put together by :mod:`glre_pyg.page.page`;
:mod:`glre_pyg.page.data` says what the scripts are given of a document.
"""
